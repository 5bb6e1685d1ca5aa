#!/usr/bin/env node
'use strict';
// The one file that must run on an old Node.js: it finds one that can run millrace and hands over to it.
// Plain CommonJS with syntax of Node 12 on purpose, so that even a very old Node.js gets as far as the sentence below.

var childProcess = require('node:child_process');
var fs = require('node:fs');
var nodeModule = require('node:module');
var path = require('node:path');
var url = require('node:url');

var MINIMUM = [24, 12];
var EXIT_UNAVAILABLE = 69;
var root = path.dirname(__dirname);

function isRecent(version) {
  var parts = version.split('.').map(Number);
  return parts[0] > MINIMUM[0] || (parts[0] === MINIMUM[0] && parts[1] >= MINIMUM[1]);
}

/** The sources in a checkout, the compiled files in an installed package (which holds no sources). */
function findEntry() {
  return [path.join(root, 'cli', 'main.ts'), path.join(root, 'dist', 'cli', 'main.js')].find(function (file) {
    return fs.existsSync(file);
  });
}

/** The Node.js that came along as an optional dependency: in our own node_modules or hoisted to one further up. */
function findBundledNode() {
  var name = 'node-' + process.platform + '-' + process.arch;
  for (var folder = root, parent = ''; folder !== parent; parent = folder, folder = path.dirname(folder)) {
    var file = path.join(folder, 'node_modules', name, 'bin', 'node');
    try {
      fs.accessSync(file, fs.constants.X_OK);
      return file;
    } catch {
      // Not in this folder: the next one up is tried, and a missing Node.js is reported at the end.
    }
  }
  return undefined;
}

function fail(sentence) {
  process.stderr.write('error[MR_NODE]: ' + sentence + '\n');
  process.exit(EXIT_UNAVAILABLE);
}

/**
 * Compiled code is kept for the next start: in the user's own cache, since whoever can write there decides what runs. The
 * variable hands it on to threads, and to the Node.js that may take over.
 */
function keepCompiled() {
  var cache = process.env.XDG_CACHE_HOME || (process.env.HOME && path.join(process.env.HOME, '.cache'));
  if (process.env.NODE_COMPILE_CACHE === undefined && cache && path.isAbsolute(cache))
    process.env.NODE_COMPILE_CACHE = path.join(cache, 'millrace', 'compiled');
  if (process.env.NODE_COMPILE_CACHE && nodeModule.enableCompileCache)
    nodeModule.enableCompileCache(process.env.NODE_COMPILE_CACHE);
}

/** Imported, the entry is not the main module and does not start by itself. */
function runHere(entry) {
  return import(url.pathToFileURL(entry).href)
    .then(function (cli) {
      return cli.main(process.argv.slice(2));
    })
    .then(function (code) {
      process.exitCode = code;
    });
}

/** Runs `node entry ARGS` as a child that shares our terminal, passes signals on, and ends as the child ends. */
function handOver(node, entry) {
  var child;
  // A terminal sends SIGINT and SIGQUIT to the child as well; sent again they would count as "at once, please".
  var fromTerminal = process.stdin.isTTY ? ['SIGINT', 'SIGQUIT'] : [];
  // Before the child is there: on a busy machine it may be up, and be ended by somebody, before we have gone on. What comes
  // is heard after this turn, when there is a child.
  ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'].forEach(function (signal) {
    process.on(signal, function () {
      if (fromTerminal.indexOf(signal) < 0) child.kill(signal);
    });
  });
  child = childProcess.spawn(node, [entry].concat(process.argv.slice(2)), { stdio: 'inherit' });
  child.on('error', function (error) {
    fail('the bundled Node.js ' + node + ' cannot be started: ' + error.message);
  });
  child.on('exit', function (code, signal) {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function main() {
  var entry = findEntry();
  if (entry === undefined)
    return fail('this installation is not complete: neither cli/main.ts nor dist/cli/main.js is in ' + root);
  keepCompiled();
  if (isRecent(process.versions.node)) return runHere(entry);
  var node = findBundledNode();
  if (node !== undefined) return handOver(node, entry);
  return fail(
    'millrace needs Node.js ' +
      MINIMUM.join('.') +
      ' or later and this is ' +
      process.versions.node +
      '; install it with its optional dependencies (they bring one along), or put a newer Node.js on PATH',
  );
}

void main();
