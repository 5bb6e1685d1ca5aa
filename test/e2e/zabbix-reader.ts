/**
 * Reads through a client that is not ours, in a process of its own: `zabbix-promise` dies of a bad answer and knows no
 * time limit. Called as `node zabbix-reader.ts URL USER PASSWORD METHOD PARAMS`; prints the result as JSON.
 */
import { createRequire } from 'node:module';

interface Client {
  login(): Promise<unknown>;
  request(method: string, params: unknown): Promise<unknown>;
  logout(): Promise<unknown>;
}
const require = createRequire(import.meta.url);
const Zabbix = require('zabbix-promise') as new (options: object) => Client;

const [url = '', user = '', password = '', method = '', params = '{}'] = process.argv.slice(2);
const client = new Zabbix({ url, user, password });
await client.login();
process.stdout.write(JSON.stringify(await client.request(method, JSON.parse(params))));
await client.logout();
