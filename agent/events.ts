// What a program that started the agent is told, one JSON line each with `--json`.

export type AgentEvent =
  /** Open this address in a browser to connect a Stripe account. */
  | {
      readonly event: 'connect_url';
      readonly url: string;
      readonly expiresAtMs: number;
      /** The key that asks, as the return page shows it: the owner compares the two. */
      readonly keyFingerprint: string;
    }
  /** The return page shows a code; the next line on stdin is taken as it. */
  | { readonly event: 'return_code_wanted' }
  | {
      readonly event: 'enrolled';
      readonly nodeId: string;
      readonly certificateExpiresAtMs: number;
    }
  /** The first beat was accepted and slots are offered. */
  | {
      readonly event: 'ready';
      readonly nodeId: string;
      readonly slots: number;
      readonly address: string;
    }
  /** A beat was accepted and slots are offered at this replica: at the start, and after each loss. */
  | { readonly event: 'linked'; readonly nodeId: string; readonly address: string }
  | { readonly event: 'renewed'; readonly nodeId: string; readonly certificateExpiresAtMs: number }
  /** The link to the control plane was lost; the agent connects again by itself. */
  | { readonly event: 'link_lost'; readonly cause: string }
  /** The machine's clock is off by so much; beats are refused until it is corrected. */
  | { readonly event: 'clock_off'; readonly clockOffsetMs: number }
  | { readonly event: 'job_started'; readonly jobId: string; readonly attemptId: string }
  | {
      readonly event: 'job_ended';
      readonly jobId: string;
      readonly attemptId: string;
      readonly end: string;
      readonly endDetail: string;
    }
  /** The control plane accepted the receipt; both sides hold the bill; `agent bill` prints it. */
  | {
      readonly event: 'job_settled';
      readonly jobId: string;
      readonly attemptId: string;
      readonly nodeShareMicrocents: string;
    }
  | { readonly event: 'stopped'; readonly nodeId: string };

export type TellEvent = (event: AgentEvent) => void;
