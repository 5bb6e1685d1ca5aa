/** Rules about package.json and its lock file. */

interface Manifest {
  readonly [group: string]: Readonly<Record<string, unknown>> | undefined;
}

export function checkPackage(json: string): string[] {
  const manifest = JSON.parse(json) as Manifest;
  return ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((group) =>
    Object.entries(manifest[group] ?? {})
      .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(String(version)))
      .map(([name, version]) => `package.json: ${name} is ${String(version)}; name one exact version`),
  );
}

export function checkLock(json: string): string[] {
  const { packages = {} } = JSON.parse(json) as {
    packages?: Record<string, { resolved?: string; integrity?: string; optional?: boolean; engines?: { node?: string } }>;
  };
  return Object.entries(packages).flatMap(([name, { resolved, integrity, optional, engines }]) => {
    if (name === '') return [];
    if (resolved !== undefined) return [`package-lock.json: ${name} names a host; run npm with the .npmrc of this checkout`];
    // npm on Node.js 20 leaves such a package out without a word, and then runs our Node.js without it.
    if (optional === true && /^>=\s*(?:2[1-9]|[3-9]\d)/.test(engines?.node ?? ''))
      return [`package-lock.json: ${name} is optional and refuses Node.js 20, so npm skips it there; make it a dependency`];
    return integrity === undefined ? [`package-lock.json: ${name} has no integrity; install it again`] : [];
  });
}
