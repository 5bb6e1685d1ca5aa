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
    packages?: Record<string, { resolved?: string; integrity?: string; link?: boolean }>;
  };
  return Object.entries(packages).flatMap(([name, { resolved, integrity }]) => {
    if (name === '') return [];
    if (resolved !== undefined) return [`package-lock.json: ${name} names a host; run npm with the .npmrc of this checkout`];
    return integrity === undefined ? [`package-lock.json: ${name} has no integrity; install it again`] : [];
  });
}
