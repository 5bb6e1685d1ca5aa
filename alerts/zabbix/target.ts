import * as z from 'zod';
import { httpUrl } from '../../engine/endpoint.ts';
import { duration, list, secret, text } from '../../engine/units.ts';
import type { ZabbixNames } from './plan.ts';

const technicalName = () =>
  text().refine(
    (name) => /^[0-9A-Za-z_. -]{1,128}$/.test(name) && name.trim() === name,
    'expected letters of the Latin alphabet, digits, blanks, dots, dashes and underscores, at most 128',
  );

/** `targets: zabbix:` of a configuration. */
export const ZABBIX_TARGET = z
  .strictObject({
    url: httpUrl().describe('Address of the Zabbix frontend, for plan and apply.'),
    user: text().optional().describe('User of the API, with `password`.'),
    password: secret().optional().describe('Password of that user; take it from the environment.'),
    token: secret().optional().describe('Token of the API instead of user and password.'),
    sender: list()
      .optional()
      .describe(
        'Servers or proxies that take the values, `host:port`, the first that answers; default: the host of the url, port 10051.',
      ),
    host_group: text()
      .refine((name) => name !== '' && name.length <= 255, 'expected a name of at most 255 characters')
      .default('millrace')
      .describe('Group of the host and, from Zabbix 6.2 on, group of the template.'),
    template: technicalName().default('millrace rules').describe('Template that holds the items and triggers of all rules.'),
    host: technicalName().default('millrace').describe('Host that the values belong to; it stands for this configuration.'),
    owner: text()
      .refine((name) => name !== '' && name.length <= 100, 'expected a name of at most 100 characters')
      .default('millrace')
      .describe('Owner that our objects are marked with, when several configurations share a Zabbix.'),
    timeout: duration({ min: 100, max: 600_000 }).default(30_000).describe('Time that one call of the API may take.'),
  })
  .refine((target) => target.host !== target.template, { error: 'host and template need different names', path: ['template'] });

export type ZabbixTarget = z.output<typeof ZABBIX_TARGET>;

export const namesOf = (target: ZabbixTarget): ZabbixNames => ({
  owner: target.owner,
  hostGroup: target.host_group,
  template: target.template,
  host: target.host,
});
