// Enrols a machine in this process: the agent's own code, without a process for each.
import { systemClock, systemRandom } from '../../agent/clock.ts';
import { parseAddresses } from '../../agent/control-plane/address.ts';
import { enrolFolder } from '../../agent/enrolment/enrol-folder.ts';
import { openFolder } from '../../agent/folder.ts';
import { pinOfFingerprint } from '../../agent/identity/pinned-root.ts';
import type { ControlPlane } from '../../cli/local-system.ts';
import { connectAccount } from '../../stripe-simulator/visit.ts';
import { EventRecord, silentLog } from '../fakes/agent.ts';

export async function enrolMachine(
  controlPlane: Pick<ControlPlane, 'address' | 'caFingerprint'>,
  {
    dataDir,
    accountName,
    signal,
  }: { readonly dataDir: string; readonly accountName: string; readonly signal: AbortSignal },
): Promise<void> {
  const record = new EventRecord();
  const enrolled = enrolFolder({
    folder: openFolder(dataDir),
    addresses: parseAddresses(controlPlane.address),
    pin: pinOfFingerprint(controlPlane.caFingerprint),
    replace: false,
    returnCode: false,
    readReturnCode: () => Promise.reject(new Error('No code is wanted')),
    clock: systemClock,
    random: systemRandom,
    tell: record.tell,
    log: silentLog,
    signal,
  });
  const connect = async (): Promise<void> => {
    const { url } = await record.next('connect_url');
    await (await fetch(await connectAccount(url, { accountName }))).text();
  };
  // Where enrolment fails before an address is told, nobody visits it.
  await Promise.race([connect(), enrolled]);
  await enrolled;
}
