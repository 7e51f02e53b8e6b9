/**
 * Error numbers of WASI preview 1 that this sandbox answers.
 * Source: wasi_snapshot_preview1.witx, `$errno`.
 */
export const Errno = {
  SUCCESS: 0,
  BADF: 8,
  FAULT: 21,
  INVAL: 28,
  NOTDIR: 54,
  NOTSOCK: 57,
  NOTSUP: 58,
  SPIPE: 70,
  NOTCAPABLE: 76,
} as const;

export type Errno = (typeof Errno)[keyof typeof Errno];
