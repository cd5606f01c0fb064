// The same graph in Mercurius or Yoga, both with JIT, as their users would write it: undici for the calls, classes
// with getters for the names of the graph. `--hot` caches galleries by token and arguments, with mercurius-cache.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { useGraphQlJit } from "@envelop/graphql-jit";
import fastify from "fastify";
import { createSchema, createYoga } from "graphql-yoga";
import mercurius from "mercurius";
import mercuriusCache from "mercurius-cache";
import { Pool } from "undici";

const { values: chosen } = parseArgs({
  options: {
    kind: { type: "string" },
    port: { type: "string" },
    schema: { type: "string" },
    "upstream-url": { type: "string" },
    hot: { type: "boolean", default: false },
  },
});

const upstream = new URL(chosen["upstream-url"]);
const pool = new Pool(upstream.origin, { connections: 100 });

const globalId = (text) => Buffer.from(text).toString("base64url");

/** A class whose instances have the fields of a REST object under their names in the graph. */
function renamed(fields) {
  class Renamed {
    constructor(body) {
      this.body = body;
    }
  }
  for (const field of fields) {
    const name = field.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
    const get = new Function(`return this.body.${field}`);
    Object.defineProperty(Renamed.prototype, name, { get });
  }
  return Renamed;
}

const Pagination = renamed(["page", "per_page", "total", "pages", "has_next", "has_prev"]);
const File = renamed(["full_size", "thumbnail", "uuid"]);

class Image extends renamed([
  "job_id", "image_index", "group_index", "version", "original_filename", "download_filename", "input_description",
  "model_used", "detail_needs_review", "detail_review_reason", "status", "quality_score", "processing_time",
  "error_message", "feedback", "feedback_comment", "created_at", "review_status", "review_annotations",
  "retouch_claim",
]) {
  get id() {
    const { image_index, group_index, version, job_id } = this.body;
    const position = `Image:${image_index}:${group_index}:${version}`;
    return globalId(`${position}${" ".repeat((3 - ((position.length + 1) % 3)) % 3)}:${job_id}`);
  }
  get resultId() {
    return this.body.id;
  }
  get inputs() {
    return this.body.inputs.map((file) => new File(file));
  }
  get output() {
    return this.body.output && new File(this.body.output);
  }
}

class Project extends renamed([
  "project_id", "project_name", "project_key", "created_at", "created_by", "total_images", "completed_images",
  "failed_images",
]) {
  get id() {
    return globalId(`Project:${this.body.project_id}`);
  }
  get pendingImages() {
    const { total_images, completed_images, failed_images } = this.body;
    return Math.max(0, total_images - completed_images - failed_images);
  }
}

function images({ body }, { first }) {
  const listed = first == null ? body.images : body.images.slice(0, first);
  return listed.map((image) => new Image(image));
}

async function fetchGallery(authorization, given) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(given)) {
    if (value == null) continue;
    const parameter = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    for (const one of [value].flat()) query.append(parameter, name === "search" ? one : String(one).toLowerCase());
  }
  const { statusCode, body } = await pool.request({
    path: `${upstream.pathname.replace(/\/$/, "")}/gallery/by-project?${query}`,
    method: "GET",
    headers: { authorization },
  });
  if (statusCode !== 200) throw new Error(`The REST API answered ${statusCode}.`);
  const page = await body.json();
  return {
    pagination: new Pagination(page.pagination),
    projects: page.projects.map((project) => new Project(project)),
  };
}

const typeDefs = readFileSync(chosen.schema, "utf-8");

async function startMercurius() {
  const app = fastify();
  app.get("/readyz", () => ({ status: "ready" }));
  app.register(mercurius, {
    schema: typeDefs,
    resolvers: {
      Query: { gallery: (_, given, { reply }) => fetchGallery(reply.request.headers.authorization, given) },
      Project: { images },
    },
    jit: 1,
  });
  if (chosen.hot) {
    app.register(mercuriusCache, {
      ttl: 30,
      policy: { Query: { gallery: { extendKey: (_, given, { reply }) => reply.request.headers.authorization } } },
    });
  }
  await app.listen({ host: "127.0.0.1", port: Number(chosen.port) });
}

function startYoga() {
  const resolvers = {
    Query: { gallery: (_, given, { request }) => fetchGallery(request.headers.get("authorization"), given) },
    Project: { images },
  };
  const yoga = createYoga({ schema: createSchema({ typeDefs, resolvers }), plugins: [useGraphQlJit()] });
  createServer((request, response) => {
    if (request.url === "/readyz") response.writeHead(200, { "content-length": "0" }).end();
    else yoga(request, response);
  }).listen(Number(chosen.port), "127.0.0.1");
}

if (chosen.kind === "mercurius") await startMercurius();
else startYoga();
