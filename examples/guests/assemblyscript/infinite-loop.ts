// Never ends by itself: its fuel, its deadline, or whoever submitted it ends it.
const steps = memory.data(8);

export function run(): void {
  while (true) store<u64>(steps, load<u64>(steps) + 1);
}
