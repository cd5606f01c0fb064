// Relay's artifacts import each other without an extension, as bundlers have it; Node wants one.
import { register } from "node:module";

const hook = `export const resolve = (specifier, context, next) =>
  next(specifier.endsWith(".graphql") ? specifier + ".js" : specifier, context);`;

register(`data:text/javascript,${encodeURIComponent(hook)}`);
