/** What a screen needs to know of the events that pass: counts and a few examples, once a second. */
import type { Consumer, EventView } from '../engine/component.ts';
import { field } from '../engine/events/field.ts';
import { systemClock } from '../engine/telemetry/clock.ts';

/** Name under which the summaries travel to the main thread. */
export const WATCH_CONSUMER = 'watch';

export interface WatchSummary {
  readonly events: number;
  /** Events that carry a place. */
  readonly located: number;
  readonly places: readonly (readonly [place: string, events: number])[];
  readonly statuses: readonly (readonly [status: string, events: number])[];
  readonly latest: readonly WatchedEvent[];
}

export interface WatchedEvent {
  readonly time: number;
  readonly tag: string;
  readonly method: string;
  readonly path: string;
  readonly status: string;
  readonly address: string;
  readonly place: string;
  readonly isp: string;
}

const FIELDS = {
  country: field('source.geo.country_name'),
  region: field('source.geo.region_name'),
  city: field('source.geo.city_name'),
  isp: field('source.as.organization.name'),
  address: field('source.ip'),
  status: field('http.response.status_code'),
  method: field('http.request.method'),
  path: field('url.path'),
};
const LATEST = 6;
/** Places and statuses of one second beyond these are not told apart. */
const MAX_NAMES = 500;

export function createWatchConsumer(publish: (intervalMs: number, data: WatchSummary) => void): Consumer {
  let events = 0;
  let located = 0;
  const places = new Map<string, number>();
  const statuses = new Map<string, number>();
  let latest: WatchedEvent[] = [];
  let timer: Disposable | undefined;
  const add = (counts: Map<string, number>, name: string): void => {
    if (counts.has(name) || counts.size < MAX_NAMES) counts.set(name, (counts.get(name) ?? 0) + 1);
  };
  const flush = (): void => {
    if (events > 0)
      publish(Math.floor(systemClock.now() / 1000) * 1000, {
        events,
        located,
        places: [...places],
        statuses: [...statuses],
        latest,
      });
    events = 0;
    located = 0;
    places.clear();
    statuses.clear();
    latest = [];
  };
  return {
    reads: Object.values(FIELDS),
    observe(event) {
      const status = event.str(FIELDS.status);
      if (status === undefined) return;
      events++;
      add(statuses, status);
      const place = placeOf(event);
      if (place !== '') {
        located++;
        add(places, place);
      }
      if (latest.length < LATEST) latest.push(watched(event, status, place));
    },
    start() {
      timer = systemClock.every(1000, flush);
      return Promise.resolve();
    },
    drain() {
      flush();
      return Promise.resolve();
    },
    stop() {
      timer?.[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}

function placeOf(event: EventView): string {
  const parts = [event.str(FIELDS.country), event.str(FIELDS.region), event.str(FIELDS.city)].filter(
    (part) => part !== undefined,
  );
  return [...new Set(parts)].join(' ');
}

function watched(event: EventView, status: string, place: string): WatchedEvent {
  const { tag, seconds } = event;
  return {
    time: seconds,
    tag,
    status,
    place,
    method: event.str(FIELDS.method) ?? '',
    path: event.str(FIELDS.path) ?? '',
    address: event.str(FIELDS.address) ?? '',
    isp: event.str(FIELDS.isp) ?? '',
  };
}
