import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface AdmissionLimits {
  readonly connections: number;
  /** Requests that wait for their answers, over all connections. */
  readonly requests: number;
}

/** What the server counts of itself. */
export interface ControlFigures {
  readonly refusedConnections: number;
  readonly refusedRequests: number;
  readonly requestsWaiting: number;
}

/** Keeps connections and waiting requests within bounds. One connection may send many requests without reading an answer. */
export class Admission {
  readonly #limits: AdmissionLimits;
  /** Requests of each connection that wait: when it closes, answers that are not even begun have no event of their own. */
  readonly #waiting = new Map<Socket, number>();
  #sum = 0;
  #refusedConnections = 0;
  #refusedRequests = 0;

  constructor(server: Server, limits: AdmissionLimits) {
    this.#limits = limits;
    server.maxConnections = limits.connections;
    server.on('drop', () => this.#refusedConnections++);
    server.on('connection', (socket: Socket) => {
      this.#waiting.set(socket, 0);
      socket.once('close', () => {
        this.#sum -= this.#waiting.get(socket) ?? 0;
        this.#waiting.delete(socket);
      });
    });
  }

  get figures(): ControlFigures {
    return {
      refusedConnections: this.#refusedConnections,
      refusedRequests: this.#refusedRequests,
      requestsWaiting: this.#sum,
    };
  }

  /** @returns false when too many wait already; otherwise the request is counted until its answer is out */
  enter({ socket }: IncomingMessage, response: ServerResponse): boolean {
    if (this.#sum >= this.#limits.requests) {
      this.#refusedRequests++;
      return false;
    }
    this.#add(socket, 1);
    response.once('finish', () => this.#add(socket, -1));
    return true;
  }

  /** A connection that has closed has been settled. */
  #add(socket: Socket, count: number): void {
    const waiting = this.#waiting.get(socket);
    if (waiting === undefined) return;
    this.#waiting.set(socket, waiting + count);
    this.#sum += count;
  }
}
