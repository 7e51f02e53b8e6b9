// Takes and touches all the memory that it is given, and traps when there is no more.
const PAGES_AT_A_TIME: usize = 16;
const PAGE_BYTES: usize = 65536;

export function run(): void {
  while (true) {
    const before = memory.grow(<i32>PAGES_AT_A_TIME);
    if (before < 0) unreachable();
    for (let page: usize = 0; page < PAGES_AT_A_TIME; page++) {
      store<u8>((<usize>before + page) * PAGE_BYTES, 1);
    }
  }
}
