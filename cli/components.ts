import { COLLECTORS } from '../collectors/all.gen.ts';
import { Registry } from '../engine/registry.ts';
import { PLUGINS } from '../plugins/all.gen.ts';
import { SHIPPERS } from '../shippers/all.gen.ts';

/** Everything that a configuration can name. Loading it loads no component. */
export const REGISTRY = new Registry(COLLECTORS, PLUGINS, SHIPPERS);
