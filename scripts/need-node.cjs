'use strict';
// Stands before the npm scripts: they run on the Node.js in node_modules/.bin, and on the machine's own one if that is missing.
var parts = process.versions.node.split('.').map(Number);
if (parts[0] < 24 || (parts[0] === 24 && parts[1] < 12)) {
  process.stderr.write(
    'error[MR_NODE]: Node.js 24.12 or later is needed and this is ' +
      process.versions.node +
      '; run `npm ci` with its optional dependencies (they bring one along), or put a newer Node.js on PATH\n',
  );
  process.exit(69);
}
