import type { Board, Condition } from '../model.ts';

const REQUESTS: readonly Condition[] = [{ field: 'http.response.status_code', exists: true }];
const SERVER_ERRORS: readonly Condition[] = [{ field: 'http.response.status_code', from: 500, below: 600 }];
const LOGIN_FAILURES: readonly Condition[] = [
  { field: 'event.action', is: 'login' },
  { field: 'event.outcome', is: 'failure' },
];
const statuses = (label: string, from: number) => ({
  label,
  where: [{ field: 'http.response.status_code', from, below: from + 100 }],
});

/** How a service is doing, at a glance: who asks, from where, how fast and how well it is answered, and who cannot log in. */
export const serviceOverview: Board = {
  id: 'service-overview',
  title: '[millrace] service overview',
  description: 'Requests, errors, latency, origin of the visitors and failed log-ins.',
  hours: 24,
  panels: [
    {
      kind: 'over-time',
      id: 'requests',
      title: 'Requests by status',
      width: 32,
      height: 14,
      where: [],
      groups: [statuses('2xx', 200), statuses('3xx', 300), statuses('4xx', 400), statuses('5xx', 500)],
      metric: { name: 'web.requests', kind: 'counter', by: 'status' },
    },
    {
      kind: 'ratio',
      id: 'error-ratio',
      title: 'Server errors, % of requests',
      width: 16,
      height: 14,
      part: SERVER_ERRORS,
      whole: REQUESTS,
      metric: {
        part: { name: 'web.requests', kind: 'counter', tags: { status: '5*' } },
        whole: { name: 'web.requests', kind: 'counter' },
      },
    },
    {
      kind: 'percentiles',
      id: 'latency',
      title: 'Latency in ms: median, 95 %, 99 %',
      width: 24,
      height: 14,
      where: REQUESTS,
      field: 'event.duration',
      percents: [50, 95, 99],
      divisor: 1e6,
      unit: 'ms',
      metric: { name: 'web.latency', kind: 'timer' },
    },
    {
      kind: 'over-time',
      id: 'login-failures',
      title: 'Failed log-ins',
      width: 24,
      height: 14,
      where: LOGIN_FAILURES,
      groups: [{ label: 'failed', where: [] }],
      metric: { name: 'auth.failures', kind: 'counter' },
    },
    {
      kind: 'map',
      id: 'map',
      title: 'Where requests come from',
      width: 24,
      height: 18,
      where: REQUESTS,
      field: 'source.geo.location',
    },
    {
      kind: 'top',
      id: 'countries',
      title: 'Countries',
      width: 12,
      height: 18,
      where: REQUESTS,
      field: 'source.geo.country_iso_code',
      size: 12,
      metric: { name: 'web.visits', kind: 'counter', by: 'country' },
    },
    {
      kind: 'top',
      id: 'regions',
      title: 'Provinces of China',
      width: 12,
      height: 18,
      where: [...REQUESTS, { field: 'source.geo.country_iso_code', is: 'CN' }],
      field: 'source.geo.region_name',
      size: 12,
      metric: { name: 'web.visits', kind: 'counter', by: 'region', tags: { country: 'CN' } },
    },
    {
      kind: 'events',
      id: 'errors',
      title: 'Server errors',
      width: 48,
      height: 16,
      where: SERVER_ERRORS,
      columns: [
        'source.ip',
        'source.geo.country_iso_code',
        'http.request.method',
        'url.original',
        'http.response.status_code',
        'message',
      ],
    },
  ],
};
