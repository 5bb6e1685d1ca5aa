/** The command line: argv in, exit code out. The bodies of commands are loaded when they are called. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { EXIT } from '../engine/errors.ts';
import { showError, standardStreams, type Streams } from './output.ts';
import { VERSION } from './version.ts';
import { keepYoungSpace } from './young-space.ts';

/** Runs one command and gives its exit code; never throws. */
export async function main(argv: readonly string[], streams: Streams = standardStreams): Promise<number> {
  let code: number = EXIT.ok;
  const done = (run: Promise<number>): Promise<void> => run.then((result) => void (code = result));
  const program = build(streams, done);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return showError(error, streams.err);
  }
}

const positive = (text: string): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 64) return value;
  // Only this one is shown by commander itself, with the name of the option.
  throw new InvalidArgumentError('expected a number from 1 to 64');
};

const count = (text: string): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('expected a number from 1');
};

const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];
const json = (): Option => new Option('--json', 'print JSON, for scripts');
const config = (): Option =>
  new Option('-c, --config <file>', 'configuration, millrace.yaml or fluent.conf').makeOptionMandatory();

const EXAMPLES = {
  main: `
Start here:
  millrace demo                                             a service, its visitors and the whole pipeline, on this machine
  millrace run --from tail:access.log --format apache2      lines of a file as JSON on the terminal
  millrace check -c millrace.yaml                           everything that is wrong with a configuration, at once
  millrace plan -c millrace.yaml                            what would change in Elasticsearch, Kibana, Graphite and Zabbix
`,
  run: `
Examples:
  millrace run -c fluent.conf
  millrace run --from tail:/var/log/nginx/access.log --format nginx --filter geo --to stdout
  millrace run --from forward:127.0.0.1:24224 --to elasticsearch:http://127.0.0.1:9200
`,
  test: `
Example:
  millrace test access.log -c millrace.yaml --tag web.access --format apache2 --expect error-ratio
`,
  why: `
Examples:
  millrace why
  millrace why --event 0d1k2m3n4p5q6r7s8t9u0vabcdefghij -c millrace.yaml
`,
  dlq: `
Examples:
  millrace dlq ls
  millrace dlq show elasticsearch-1 --reason mapper_parsing --limit 3
  millrace dlq replay elasticsearch-1 --dry-run
`,
  buffer: `
Examples:
  millrace buffer ls
  millrace buffer export --tag web.** --since 2h > events.ndjson
`,
  geo: `
Examples:
  millrace geo lookup 114.114.114.114 2001:4860:4860::8888
  millrace geo check qqwry.dat
`,
};

function build(streams: Streams, done: (run: Promise<number>) => Promise<void>): Command {
  const program = new Command('millrace');
  program
    .description('Collects logs as Fluentd does, enriches, counts and ships them, and keeps alert rules in step with Zabbix.')
    .version(VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES.main)
    .configureOutput({ writeOut: streams.out, writeErr: streams.err })
    .showSuggestionAfterError()
    .exitOverride();
  addRunning(program, streams, done);
  addSync(program, streams, done);
  addLooking(program, streams, done);
  return program;
}

function addRunning(program: Command, streams: Streams, done: (run: Promise<number>) => Promise<void>): void {
  program.commandsGroup('Run:');
  program
    .command('demo')
    .description('the core service, visitors and the whole pipeline, on this machine')
    .option('--seconds <n>', 'end after so long')
    .option('--rate <n>', 'requests a second of the visitors', '20')
    .option('--seed <n>', 'seed of the visitors', '1')
    .option('--data <dir>', 'data directory', '.millrace')
    .action((options) => {
      keepYoungSpace();
      return done(import('./commands/demo.ts').then(({ demo }) => demo(options, streams)));
    });
  program
    .command('run')
    .description('run a configuration, or a pipeline from words')
    .option('-c, --config <file>', 'configuration, millrace.yaml or fluent.conf')
    .option('-i, --inline-config <text>', "configuration as text, in Fluentd's syntax")
    .option('--from <input>', 'tail:PATH, forward[:HOST:PORT], statsd[:HOST:PORT] or sample[:JSON]')
    .option('--format <parser>', 'parser for --from tail: apache2, nginx, json, none')
    .option('--filter <type>', 'filter with its defaults, such as geo; may be repeated', collect)
    .option('--to <output>', 'stdout, null, file:PATH, elasticsearch[:URL], graphite[:HOST:PORT] or forward[:HOST:PORT]')
    .option('--once', 'end when the files of --from tail have been read')
    .option('--data <dir>', 'data directory')
    .option('--workers <n>', 'pipeline workers, in place of <system> workers', positive)
    .option('--dry-run', 'check the configuration and start nothing')
    .option('-v, --verbose', 'log more')
    .option('-q, --quiet', 'log errors only')
    .addHelpText('after', EXAMPLES.run)
    .action((options) => {
      keepYoungSpace();
      return done(import('./commands/run.ts').then(({ run }) => run(options, streams)));
    });
  program
    .command('check')
    .description('show everything that is wrong with a configuration, at once')
    .addOption(config())
    .addOption(json())
    .action((options: { config: string; json?: boolean }) =>
      done(import('./commands/check.ts').then(({ check }) => check(options.config, options, streams))),
    );
  program
    .command('test')
    .description('replay a file of lines through filters and rules, at the time the lines carry')
    .argument('<file>', 'file of lines')
    .addOption(config())
    .option('--tag <tag>', 'tag of the lines; default: that of the first tail source')
    .option('--format <parser>', 'parser, when the configuration has no such tail source')
    .option('--expect <rule>', 'fail unless this rule fires; may be repeated', collect)
    .addOption(json())
    .addHelpText('after', EXAMPLES.test)
    .action((file: string, options) =>
      done(import('./commands/test.ts').then(({ test }) => test(file, { ...options, expectFiring: options.expect }, streams))),
    );
}

function addSync(program: Command, streams: Streams, done: (run: Promise<number>) => Promise<void>): void {
  program.commandsGroup('Keep in step:');
  program
    .command('plan')
    .description('show what apply would change; exit 2 when something would')
    .addOption(config())
    .addOption(json())
    .action((options) => done(import('./commands/sync.ts').then(({ plan }) => plan(options, streams))));
  program
    .command('apply')
    .description('bring Elasticsearch, Kibana, Graphite and Zabbix in step with the configuration')
    .addOption(config())
    .option('-y, --yes', 'do not ask')
    .addOption(json())
    .action((options) => done(import('./commands/sync.ts').then(({ apply }) => apply(options, streams))));
}

function addLooking(program: Command, streams: Streams, done: (run: Promise<number>) => Promise<void>): void {
  program.commandsGroup('Look:');
  program
    .command('status')
    .description('what every component of the running millrace has taken, passed on and dropped')
    .option('--data <dir>', 'data directory of the running millrace')
    .addOption(json())
    .action((options) => done(import('./commands/status.ts').then(({ status }) => status(options, streams))));
  program
    .command('why')
    .description('why something does not move, why events were dropped, and what to do; exit 1 when something stands still')
    .argument('[component]', 'id of a component')
    .option('--event <id>', 'what became of one event, by its _id or WORKER/SEGMENT/OFFSET; needs no running millrace')
    .option('-c, --config <file>', 'configuration, to show the way of the event through its filters')
    .option('--data <dir>', 'data directory of the running millrace')
    .addOption(json())
    .addHelpText('after', EXAMPLES.why)
    .action((component: string | undefined, options) =>
      done(
        options.event === undefined
          ? import('./commands/why.ts').then(({ why }) => why(component, options, streams))
          : import('./commands/why-event.ts').then(({ whyEvent }) => whyEvent(options, streams)),
      ),
    );
  addDeadLetters(program, streams, done);
  addBuffer(program, streams, done);
  const geo = program.command('geo').description('where addresses are').addHelpText('after', EXAMPLES.geo);
  geo
    .command('lookup')
    .description('show where addresses are')
    .argument('<address...>', 'IPv4 or IPv6 addresses')
    .addOption(new Option('--language <language>', 'language of the names').choices(['zh', 'en']).default('zh'))
    .option('--database <file>', 'qqwry.dat, .mmdb or ip2region.db in place of the default chain')
    .option('--data <dir>', 'data directory')
    .addOption(json())
    .action((addresses: string[], options) =>
      done(import('./commands/geo.ts').then(({ geoLookup }) => geoLookup(addresses, options, streams))),
    );
  geo
    .command('check')
    .description('say what an IP database is, and what is wrong with it')
    .argument('<file>', 'database')
    .addOption(json())
    .action((file: string, options) =>
      done(import('./commands/geo.ts').then(({ geoCheck }) => geoCheck(file, options, streams))),
    );
  program
    .command('describe')
    .description('list the components, or explain one, or an error code')
    .argument('[words...]', 'such as: elasticsearch, or: filter geo, or: MR_CONNECT')
    .addOption(json())
    .action((words: string[], options) =>
      done(import('./commands/describe.ts').then(({ describe }) => describe(words, options, streams))),
    );
  program
    .command('version')
    .description('print the version')
    .action(() => streams.out(`${VERSION}\n`));
}

function addDeadLetters(program: Command, streams: Streams, done: (run: Promise<number>) => Promise<void>): void {
  const dlq = program
    .command('dlq')
    .description('dead letters: events that will never be delivered')
    .addHelpText('after', EXAMPLES.dlq);
  const command = (name: string, description: string, argument: string): Command =>
    dlq
      .command(name)
      .description(description)
      .argument(argument, 'id of an output')
      .option('--reason <text>', 'part of the reason')
      .option('--tag <pattern>', 'tag pattern, such as web.**')
      .option('--id <id>', 'id of a letter; may be repeated', collect)
      .option('--since <duration>', 'set aside within so long, such as 2h')
      .option('--data <dir>', 'data directory')
      .addOption(json());
  command('ls', 'how many there are, by output and reason', '[output]').action((output: string | undefined, options) =>
    done(import('./commands/dlq.ts').then(({ dlqLs }) => dlqLs(output, options, streams))),
  );
  command('show', 'letters in full, newest first', '[output]')
    .option('--limit <n>', 'at most so many; default 20', count)
    .action((output: string | undefined, options) =>
      done(import('./commands/dlq.ts').then(({ dlqShow }) => dlqShow(output, options, streams))),
    );
  command('replay', 'send letters to their output again, oldest first; exit 1 when some are left', '<output>')
    .option('--limit <n>', 'at most so many', count)
    .option('--to <output>', 'to another output')
    .option('--dry-run', 'say how many, and send nothing')
    .action((output: string, options) =>
      done(import('./commands/dlq.ts').then(({ dlqReplay }) => dlqReplay(output, options, streams))),
    );
  command('drop', 'forget letters for good', '<output>')
    .option('--limit <n>', 'at most so many, the oldest first', count)
    .option('--all', 'all letters of the output')
    .option('-y, --yes', 'do not ask')
    .action((output: string, options) =>
      done(import('./commands/dlq.ts').then(({ dlqDrop }) => dlqDrop(output, options, streams))),
    );
}

function addBuffer(program: Command, streams: Streams, done: (run: Promise<number>) => Promise<void>): void {
  const buffer = program
    .command('buffer')
    .description('the log on disk that events wait in')
    .addHelpText('after', EXAMPLES.buffer);
  const command = (name: string, description: string): Command =>
    buffer.command(name).description(description).option('--data <dir>', 'data directory');
  command('ls', 'segments, what is in them and which outputs need them')
    .addOption(json())
    .action((options) => done(import('./commands/buffer.ts').then(({ bufferLs }) => bufferLs(options, streams))));
  command('check', 'check every frame; exit 1 when something is damaged')
    .addOption(json())
    .action((options) => done(import('./commands/buffer.ts').then(({ bufferCheck }) => bufferCheck(options, streams))));
  command('repair', 'cut torn ends off and set damaged parts aside; millrace must not run')
    .addOption(json())
    .action((options) => done(import('./commands/buffer.ts').then(({ bufferRepair }) => bufferRepair(options, streams))));
  command('export', 'all events in it, delivered or not, a line of JSON each')
    .option('--tag <pattern>', 'tag pattern, such as web.**')
    .option('--since <duration>', 'entered within so long, such as 2h')
    .option('--msgpack', 'messages of the forward protocol in place of JSON')
    .action((options) => done(import('./commands/buffer.ts').then(({ bufferExport }) => bufferExport(options, streams))));
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
