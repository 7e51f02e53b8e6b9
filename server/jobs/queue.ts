// Whose job is next: weighted fair queueing between clients, by start-time fair queueing (Goyal, Vin and
// Cheng, 1996). Pure; the state is a row a client, kept by the database (see the migration fair-queue).
//
//   1. A client has a virtual time: what it was given, divided by its weight. The waiting client with the
//      least comes next, and its own jobs in the order of priority and age.
//   2. A lease costs LEASE_FUEL at once, whatever becomes of it; what the job burnt is added when its receipt
//      is accepted. Not the fuel limit beforehand: most jobs burn a thousandth of it, and the one who left it
//      at its default would wait for a thousand jobs of others. A node's failure costs its client a lease.
//   3. Who was idle starts where the last leased job started: idleness earns nothing and costs nothing. So
//      10,000 waiting jobs of one client are passed by the first job of another.
//
// Virtual times are in thousands of fuel at weight 1: a bigint lasts 29 years for 10,000 nodes' work.

/** What placing a job takes of a node, though it burns nothing: 10 ms at 10^9 fuel a second. */
const LEASE_FUEL = 10_000_000n;

const FUEL_PER_UNIT = 1_000n;

/** What the virtual time of a client rises by with each lease. */
export function leaseCharge(weight: number): bigint {
  return LEASE_FUEL / FUEL_PER_UNIT / BigInt(weight);
}

/** What it rises by for a job that burnt so much. */
export function burnCharge(fuel: bigint, weight: number): bigint {
  const unit = FUEL_PER_UNIT * BigInt(weight);
  return (fuel + unit - 1n) / unit;
}

/** Where a client's next job starts, `lastStart` being where the last leased job of all started. */
export function startOf(virtualTime: bigint, lastStart: bigint): bigint {
  return virtualTime > lastStart ? virtualTime : lastStart;
}

/** One client's turn: its jobs that come next, in its own order. */
export interface Turn {
  readonly clientId: string;
  readonly virtualTime: bigint;
  readonly weight: number;
  readonly jobIds: readonly string[];
}

/** The jobs in the order in which they are due, at most `limit`. Of two that start alike, the older turn's. */
export function fairOrder(
  turns: readonly Turn[],
  { lastStart, limit }: { readonly lastStart: bigint; readonly limit: number },
): readonly string[] {
  const due = turns.flatMap(({ jobIds, virtualTime, weight }) => {
    const first = startOf(virtualTime, lastStart);
    const charge = leaseCharge(weight);
    return jobIds.map((jobId, index) => ({
      jobId,
      start: first + BigInt(index) * charge,
      virtualTime,
    }));
  });
  return due
    .toSorted(
      (a, b) => Number(a.start - b.start) || Math.sign(Number(a.virtualTime - b.virtualTime)),
    )
    .slice(0, limit)
    .map(({ jobId }) => jobId);
}
