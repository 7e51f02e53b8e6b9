// The profile gj-0, as the document whose digest stands in every price, work order and receipt. A
// change to any byte of it is another profile: results counted by it would no longer replay.

const TEXT = `Gap Junction profile gj-0

This document fixes what the end, the fuel and the output of a job depend on, given its module, input,
limits and seed. It is a first form. What it does not fix yet is listed at its end.

1. Counter
The counter starts at 0. The guest's fuel is the smaller of the counter and its budget.
CHECK: if the counter is at or past the budget, the guest ends OUT_OF_FUEL.
Entering a function that the module defines, from wherever: the counter rises by 1, then CHECK.
Each executed operator raises the counter by its cost, in order:
  0: nop drop block loop unreachable return else end
  1: every other operator, SIMD too
Loop header, on entry and on every branch back: CHECK.
memory.grow: 1, nothing for a page; then CHECK, before the growth, unless the operator directly before it
is i32.const.
An imported function costs nothing of itself and sees the counter with the call's own 1 in it.
A tail call costs what a call costs.

2. Runs
The fuel of a run of operators is added where the run starts. A run starts at the entry of a function,
behind every loop, if and else, behind the end of an if, behind the end of a block that a branch names,
and behind br, br_if, br_table, return, unreachable, call, call_indirect, return_call,
return_call_indirect, a memory.grow that has a CHECK, and a load or store whose static offset and size
exceed the largest size of the memory's type (its maximum, else 2^32 bytes). At every CHECK, call and end
the counter is what section 1 says. At a trap in the middle of a run it has all of that run in it.

3. Refill points
Fuel is granted up to absolute multiples of 1000000, or to the budget when that is nearer. A CHECK that
finds the counter at or past the grant is a refill point. A deadline or a cancel ends the guest at a
refill point and nowhere else. The fuel of such an end is the counter there.

4. Host calls
Each host function adds 100, and 1 for each byte that it reads from or writes to guest memory, before it
acts; then CHECK. A call that cannot be paid leaves memory as it was. A call that answers an error touches
no byte, but for the vectors and subscriptions that it read: 8 bytes each of all vectors where they lie in
memory and a range or the place for the answer does not, or they add up to too much; 48 bytes each of all
subscriptions where one is of an unknown kind.
Monotonic clock: the counter in nanoseconds, plus what the guest slept. A sleep passes at once, before the
CHECK of its call; one that brings the time slept to the deadline ends the guest there.
Wall clock: always 0. Resolution of both: 1 ns. Other clocks: EINVAL.
Random: the AES-256-CTR key stream under HKDF-SHA256(seed, salt "", info "gap-junction/random/v1\n", 32)
with a zero IV, read in order.

The functions of WASI preview 1 (wasi_snapshot_preview1), all 46. A range outside of memory answers
EFAULT, a descriptor that is not open EBADF. Open at first are 0, 1 and 2; nothing else can be opened.
  args_get, args_sizes_get: one argument, "guest"      environ_get, environ_sizes_get: none
  clock_res_get, clock_time_get, random_get: as above      sched_yield: success
  fd_read: the input on 0, in order; ENOTCAPABLE on 1 and 2      fd_close: closes
  fd_write: ENOTCAPABLE on 0; on 1 appends to the result where that is granted, else nothing is kept
    of it; a result longer than the job allows ends the guest OUTPUT_TOO_LARGE
    more than 1024 vectors, or 2^32 bytes and more to write: EINVAL
    charged are 8 bytes a vector, the bytes moved, and 4 for their number
  fd_fdstat_get: type 0, no flags; rights 1<<1 on 0, else 1<<6, and 1<<21 and 1<<27
  fd_filestat_get: 64 zero bytes
  poll_oneoff: of 1 to 1024 subscriptions, else EINVAL; reading 0 and writing 1 and 2 are ready at once,
    with what is left of the input, and hang-up at its end; else the shortest clock is slept; charged are
    48 bytes a subscription, 32 an event, and 4 for their number
  proc_exit: ends the guest      proc_raise: ENOTSUP
  EBADF: fd_prestat_get, fd_prestat_dir_name
  ESPIPE: fd_advise, fd_allocate, fd_pread, fd_pwrite, fd_seek, fd_tell
  EINVAL: fd_datasync, fd_sync, fd_filestat_set_size
  ENOTSUP: fd_fdstat_set_flags, fd_renumber      ENOTDIR: fd_readdir, every path_ function
  ENOTCAPABLE: fd_fdstat_set_rights, fd_filestat_set_times      ENOTSOCK: every sock_ function
The functions of gap_junction: input_size() -> i32; input_read(pointer, offset, length) -> i32 copies what
there is of the input and answers its length; output_write(pointer, length) appends to the result. A range
outside of memory traps MEMORY_OUT_OF_BOUNDS, after the 100.

5. Memory and tables
A memory grows to the smaller of its own maximum and the cap of the job, a table to the smaller of its
own maximum and 1000000 elements; beyond that growth answers -1. Growth within it never answers -1: where
a machine cannot give it, the run is a fault of that machine.

6. Accepted modules
Core modules: the first version, sign extension, saturating conversion, multi-value, bulk memory,
reference types, fixed-width SIMD, extended constant expressions, tail calls. Refused: typed function
references, exceptions, GC, stack switching, memory64, threads, relaxed SIMD, multi-memory, components.
The start function is called after the counter is set, then _initialize where the entry is run and the
module exports it, then the entry.

7. What this profile does not fix
Instantiation: global initializers, table elements and data cost nothing, the start section no more than
its function.
Bulk lengths: memory.copy, memory.fill, memory.init, table.copy, table.fill, table.init and table.grow cost
1, whatever their length, without a CHECK.
Depth: how deep calls go before STACK_OVERFLOW depends on the machine.
NaN: which NaN an operator answers depends on the machine.
Traps: what is billed at a trap is the counter, by section 2; at a segment that is out of bounds, 0. A
call through a null element and one through an element of another type are both named BAD_SIGNATURE, the
conversion of a NaN and of a number out of range both BAD_CONVERSION_TO_INTEGER.
`;

export const GJ_0_PROFILE = 'gj-0';

/** The exact bytes of the document, ASCII. */
export const GJ_0_DOCUMENT: Uint8Array = new TextEncoder().encode(TEXT);

/** SHA-256 of GJ_0_DOCUMENT, in hex; kept as a constant so that a change to the text is noticed. */
export const GJ_0_DIGEST_HEX = '0704c7fd1bc3c1ebcbd9292bd1179213bad38e81574026c5ccd9083a79aede67';
