#!/usr/bin/env node
// biome-ignore-all lint/complexity/useArrowFunction: old nodes do not know arrows.

// The bin. Written in old JavaScript, without static imports, so that an older node can parse it, find the Node that
// `npm ci` brought, and hand over; everything else is in main.ts. `npm start` and `npx eduk` put that Node on the path, so
// the handing over happens only when this file is started directly.
var needed = 24;
// Left alone, the young objects of the doors' thread come to take 128 MB: V8 makes room rather than look at them sooner. With
// 16 MB (twice this) there is no more work to do, and less memory is held. Only who starts a process can say so: by the time
// that this code runs, its heap is there. It holds for the vault's thread too; the state's says its own.
var bound = '--max-semi-space-size=8';

if (parseInt(process.versions.node, 10) >= needed) {
  if (process.argv[2] === 'start' && !isBounded()) startBounded();
  // The compile cache keeps the code without its types, so that from the second start on nothing has to strip them again.
  import('node:module').then(function (module) {
    module.enableCompileCache();
    return import('./main.ts').then(function (cli) {
      return cli.run();
    });
  });
} else {
  load('fs', function (fs) {
    load('path', function (path) {
      load('child_process', function (processes) {
        handOver(fs, path, processes);
      });
    });
  });
}

/** Whether somebody said already how much room young objects get. */
function isBounded() {
  return (
    process.execArgv
      .concat(process.env.NODE_OPTIONS || '')
      .join(' ')
      .indexOf('semi-space-size') >= 0
  );
}

/** Becomes the same program with the bound: same process, same files and signals. Windows knows no such thing. */
function startBounded() {
  // A channel to whoever started it would be lost: it tells that they are gone.
  if (typeof process.execve !== 'function' || process.platform === 'win32' || process.send) return;
  process.execve(
    process.execPath,
    [process.execPath, bound].concat(process.execArgv, process.argv.slice(1)),
    process.env,
  );
}

/** Nodes before modules run this file as a script, where `require` is the only way; later ones have no `require` here. */
function load(name, use) {
  if (typeof require === 'function') use(require(name));
  else
    import(name).then(function (module) {
      use(module.default);
    });
}

function handOver(fs, path, processes) {
  var here = fs.realpathSync(process.argv[1]);
  var bundled = findNode(fs, path, path.resolve(path.dirname(here), '..', '..'));
  if (bundled === undefined) {
    process.stderr.write(
      'eduk needs Node ' +
        needed +
        ' or newer; this is ' +
        process.version +
        '. Run npm ci in the project folder, or install Node ' +
        needed +
        '.\n',
    );
    process.exitCode = 2;
    return;
  }
  var child;
  // The process in between passes on what it is told, and ends as its child ends. It listens before there is a child: one
  // that says it is ready may be told to stop before this process comes to its next line.
  ['SIGTERM', 'SIGINT', 'SIGHUP'].forEach(function (signal) {
    process.on(signal, function () {
      child.kill(signal);
    });
  });
  child = processes.spawn(bundled, [here].concat(process.argv.slice(2)), { stdio: 'inherit' });
  child.on('error', function (error) {
    process.stderr.write('eduk cannot run ' + bundled + ' (' + error.code + ').\n');
    process.exitCode = 2;
  });
  child.on('exit', function (code, signal) {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** The first Node found under the project; none when that is the one that runs now, for then it is too old as well. */
function findNode(fs, path, root) {
  var windows = process.platform === 'win32';
  var name = 'node-' + (windows ? 'win' : process.platform) + '-' + process.arch;
  var places = [path.join(root, 'node_modules', name, 'bin', windows ? 'node.exe' : 'node')];
  // On Windows that file is a script for a shell, not a program.
  if (!windows) places.unshift(path.join(root, 'node_modules', '.bin', 'node'));
  var there = places.filter(function (place) {
    return fs.existsSync(place);
  });
  if (there.length === 0) return undefined;
  var found = fs.realpathSync(there[0]);
  return found === fs.realpathSync(process.execPath) ? undefined : found;
}
