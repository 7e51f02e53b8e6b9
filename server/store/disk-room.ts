// Room on the disk of an embedded database. PGlite does not survive a disk that fills up under it: its
// write-ahead log fails, and then every statement waits for ever, until the process is started again. So
// nothing is written any more while there is still room, and everything goes on once there is more.
import { statfs } from 'node:fs/promises';
import type { Clock } from '../clock.ts';
import { RpcError } from '../rpc/error.ts';

/** Eight segments of the write-ahead log, of 16 MiB each: more than is written between two looks. */
const RESERVE_BYTES = 128 * 1024 * 1024;
const LOOK_INTERVAL_MS = 1_000;

export interface DiskRoomOptions {
  readonly clock: Clock;
  /** What this process may still write there. */
  readonly freeBytes: () => Promise<number>;
}

export class DiskRoom {
  readonly #options: DiskRoomOptions;
  readonly #stopLooking: () => void;
  #freeBytes = 0;
  #looking: Promise<void> | null = null;

  private constructor(options: DiskRoomOptions) {
    this.#options = options;
    this.#stopLooking = options.clock.every(LOOK_INTERVAL_MS, () => {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = null;
      });
    });
  }

  /** Has looked once; looks again each second until `close`. */
  static async open(options: DiskRoomOptions): Promise<DiskRoom> {
    const room = new DiskRoom(options);
    await room.#look();
    return room;
  }

  /** Throws RpcError RESOURCE_EXHAUSTED (STORAGE_FULL) where the disk is as good as full, or cannot be asked. */
  require(): void {
    if (this.#freeBytes >= RESERVE_BYTES) return;
    throw new RpcError(
      'RESOURCE_EXHAUSTED',
      'STORAGE_FULL',
      `writing to the database: its disk has ${mebibytes(this.#freeBytes)} MiB left, less than the ${mebibytes(RESERVE_BYTES)} that it needs; try again when the operator has made room`,
    );
  }

  async close(): Promise<void> {
    this.#stopLooking();
    await this.#looking;
  }

  async #look(): Promise<void> {
    // What cannot be asked is not trusted with writes.
    this.#freeBytes = await this.#options.freeBytes().catch(() => 0);
  }
}

/** Of the file system that the folder is on, for others than root. */
export async function freeBytesAt(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / (1024 * 1024));
}
