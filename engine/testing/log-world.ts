/**
 * A log on a simulated disk, and beside it what is known about every event that was put in: whether it must be there
 * after a crash, and whether it must not. Tests drive it step by step; what does not hold is an AssertionError.
 */
import assert from 'node:assert/strict';
import type { Log } from '../component.ts';
import { openDiskLog, type DiskLog, type DiskLogOptions } from '../log/disk-log.ts';
import type { Frame, Level, LogReader, Position } from '../log/entrance-log.ts';
import { FakeClock, makeBatch, readBatch, type LogLine } from './driver.ts';
import { SimulatedDisk } from './simulated-disk.ts';

interface Known {
  readonly level: Level;
  /** What it has to outlive by now. */
  safe: 'nothing' | 'process' | 'power';
  /** A crash took it: it must never come again. */
  isLost: boolean;
  isAcknowledged: boolean;
  isTrimmed: boolean;
  /** `segment.offset/index` under which it was seen, and its position. */
  place: string | undefined;
}

export interface LogWorldOptions {
  readonly random: () => number;
  /** Small, so that many segments and reads from files come about. */
  readonly log?: Partial<DiskLogOptions>;
  /** Changes each disk before it is used: the mutation check leaves out syncs with it. */
  readonly prepare?: (disk: SimulatedDisk) => void;
}

export const WORLD_DIRECTORY = '/log';
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** Far more than any settling needs. */
const MAX_ROUNDS = 3000;

export class LogWorld {
  readonly #o: LogWorldOptions;
  readonly clock = new FakeClock();
  readonly lines: LogLine[] = [];
  disk: SimulatedDisk;
  #opened: DiskLog | undefined;
  #live: LogReader | undefined;
  readonly #known: Known[] = [];
  readonly #places = new Map<string, number>();
  #trimmed: Position = 0;
  #lastSeen = -1;

  constructor(options: LogWorldOptions) {
    this.#o = options;
    this.disk = new SimulatedDisk({ random: options.random });
    options.prepare?.(this.disk);
  }

  get log(): DiskLog {
    assert.ok(this.#opened, 'the log is open');
    return this.#opened;
  }

  #open(): Promise<DiskLog> {
    const at =
      (level: LogLine['level']): Log['info'] =>
      (fields, message) =>
        void this.lines.push({ level, fields, message });
    return openDiskLog({
      directory: WORLD_DIRECTORY,
      clock: this.clock,
      log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
      limitBytes: 1 << 20,
      header: { configHash: '', geoHash: '' },
      incarnation: () => BigInt(Math.floor(this.#o.random() * 2 ** 40)),
      disk: this.disk,
      needed: this.#trimmed,
      segmentBytes: 2048,
      tailBytes: 1024,
      ...this.#o.log,
    });
  }

  async open(): Promise<void> {
    this.disk.isManual = false;
    this.#opened = await this.#open();
    this.disk.isManual = true;
    this.#live = this.log.reader(undefined, () => undefined);
    this.#lastSeen = -1;
    this.#compare();
  }

  /** Begins to open, and does not come to an end. */
  async openAndCrash(steps: number, kind: 'process' | 'power'): Promise<void> {
    this.disk.isManual = true;
    void this.#open();
    for (let n = 0; n < steps; n++) {
      await turn();
      this.disk.step();
    }
    this.#crashDisk(kind);
  }

  /** After a start: what had to outlive is there, in order; what is there now counts as safe; the rest is lost for good. */
  #compare(): void {
    const found = new Set(this.read());
    for (const [id, known] of this.#known.entries()) {
      if (known.isTrimmed) continue;
      if (found.has(id)) {
        assert.ok(!known.isLost, `event ${id} was lost and came again`);
        known.safe = 'power';
      } else {
        assert.equal(known.safe, 'nothing', `event ${id} was acknowledged at ${known.level} and is not there`);
        known.isLost = true;
      }
    }
  }

  /** Puts `count` events in as one batch. */
  append(level: Level, count: number, bytes: number, tag: string): void {
    const ids: number[] = [];
    for (let n = 0; n < count; n++) {
      ids.push(this.#known.length);
      this.#known.push({ level, safe: 'nothing', isLost: false, isAcknowledged: false, isTrimmed: false, place: undefined });
    }
    const batch = makeBatch(
      ids.map((id) => ({ record: { id, fill: 'x'.repeat(bytes) } })),
      tag,
    );
    const { log } = this;
    log.append(batch, level, '', (failure) => {
      // A log that has crashed answers nobody.
      assert.equal(this.#opened, log, 'an acknowledgement of a log that is no more');
      for (const id of ids) {
        const known = this.#known[id] as Known;
        assert.ok(!known.isAcknowledged, `event ${id} was acknowledged twice`);
        known.isAcknowledged = true;
        if (failure === undefined && level !== 'memory') known.safe = level === 'os' ? 'process' : 'power';
      }
    });
  }

  /** Lets a turn of the event loop pass, and ends operations of the disk. */
  async step(operations: number): Promise<void> {
    await turn();
    for (let n = 0; n < operations; n++) {
      this.disk.step(Math.floor(this.#o.random() * 4));
      await turn();
    }
  }

  /** Reads on with the reader that is there since the start. */
  readLive(frames: number): void {
    for (let n = 0; n < frames; n++) {
      const frame = this.#live?.next();
      if (frame === undefined) return;
      for (const id of this.#see(frame)) {
        assert.ok(id > this.#lastSeen, 'order is the order of appending');
        this.#lastSeen = id;
      }
    }
  }

  /** Gives up what lies before a frame. */
  trim(part: number): void {
    const reader = this.log.reader(undefined, () => undefined);
    const frames: Frame[] = [];
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
    reader.close();
    const gone = frames.slice(0, Math.floor(frames.length * part));
    const last = gone.at(-1);
    if (last === undefined) return;
    for (const frame of gone) for (const id of idsOf(frame)) (this.#known[id] as Known).isTrimmed = true;
    this.#trimmed = last.end;
    this.log.trim(last.end);
  }

  /** The ids of all events that are there; checks order, places and positions. */
  read(): number[] {
    const reader = this.log.reader(undefined, () => undefined);
    const ids: number[] = [];
    let end = 0;
    let enteredMs = 0;
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      assert.ok(frame.position >= end && frame.end > frame.position, 'positions rise');
      end = frame.end;
      assert.ok((frame.batch.place?.enteredMs ?? 0) >= enteredMs, 'times never fall');
      enteredMs = frame.batch.place?.enteredMs ?? 0;
      ids.push(...this.#see(frame));
    }
    assert.ok(reader.position >= end);
    reader.close();
    for (const [n, id] of ids.entries()) assert.ok(n === 0 || id > (ids[n - 1] as number), 'order, and nothing twice');
    return ids;
  }

  /** A place and a position belong to one event for all time. */
  #see(frame: Frame): number[] {
    const { place } = frame.batch;
    assert.ok(place !== undefined);
    const ids = idsOf(frame);
    for (const [index, id] of ids.entries()) {
      const known = this.#known[id];
      assert.ok(known !== undefined, `event ${id} was never appended`);
      const key: string = `${place.incarnation}.${place.segment}.${place.offset}/${index}`;
      const at = `${frame.position}/${index}`;
      assert.equal(known.place ?? key, key, `event ${id} has moved`);
      known.place = key;
      for (const name of [key, at]) {
        assert.equal(this.#places.get(name) ?? id, id, `place ${name} was given twice`);
        this.#places.set(name, id);
      }
    }
    return ids;
  }

  #crashDisk(kind: 'process' | 'power'): void {
    this.#opened = undefined;
    const { capacityBytes } = this.disk;
    this.disk = this.disk.crash(kind);
    this.disk.capacityBytes = capacityBytes;
    this.#o.prepare?.(this.disk);
    if (kind === 'process') return;
    // What the system had is gone with the power.
    for (const known of this.#known) if (known.safe === 'process') known.safe = 'nothing';
  }

  crash(kind: 'process' | 'power'): void {
    this.#crashDisk(kind);
  }

  /** No more faults: everything is written, synced and acknowledged, and can be read. */
  async settle(): Promise<void> {
    this.disk.fault = undefined;
    this.disk.capacityBytes = Infinity;
    const flushing = { isDone: false };
    void this.log.flush().then(() => (flushing.isDone = true));
    for (let round = 0; !flushing.isDone; round++) {
      assert.ok(round < MAX_ROUNDS, 'the log comes to rest');
      await this.step(3);
      this.clock.advance(50);
    }
    const ids = new Set(this.read());
    this.readLive(Infinity);
    for (const [id, { isLost, isTrimmed, isAcknowledged, safe }] of this.#known.entries()) {
      if (isLost || isTrimmed) continue;
      assert.ok(ids.has(id), `event ${id} can be read`);
      assert.ok(isAcknowledged || safe === 'power', `event ${id} is acknowledged, or was found at a start`);
      assert.ok(id <= this.#lastSeen, `event ${id} was read on the way`);
    }
  }

  async close(): Promise<void> {
    this.disk.isManual = false;
    while (this.disk.step());
    await this.#opened?.close();
  }
}

const idsOf = (frame: Frame): number[] => readBatch(frame.batch).map(({ record }) => record['id'] as number);
