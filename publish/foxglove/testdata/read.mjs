// Prints the content of an MCAP file as JSON. Foxglove's own libraries read it through the file's index.
//   npm install @mcap/core@2.2.2 @mcap/support@1.1.0 fzstd@0.1.1
//   node read.mjs recording.mcap > recording.json
import { McapIndexedReader } from "@mcap/core";
import { protobufFromBinaryDescriptor } from "@mcap/support";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as fzstd from "fzstd";

const file = readFileSync(process.argv[2]);
const readable = {
  size: async () => BigInt(file.length),
  read: async (offset, length) => new Uint8Array(file.subarray(Number(offset), Number(offset + length))),
};
const reader = await McapIndexedReader.Initialize({
  readable,
  decompressHandlers: { zstd: (bytes, size) => fzstd.decompress(bytes, new Uint8Array(Number(size))) },
});
const parsers = new Map();
const parse = (schema, data) => {
  if (schema.encoding !== "protobuf") return JSON.parse(new TextDecoder().decode(data));
  if (!parsers.has(schema.id)) parsers.set(schema.id, protobufFromBinaryDescriptor(schema.data).lookupType(schema.name));
  const type = parsers.get(schema.id);
  return type.toObject(type.decode(data), { longs: String, bytes: String, enums: String, defaults: true });
};
const messages = [];
for await (const m of reader.readMessages({ validateCrcs: true })) {
  const channel = reader.channelsById.get(m.channelId);
  const schema = reader.schemasById.get(channel.schemaId);
  messages.push({
    topic: channel.topic, schema: schema.name, encoding: channel.messageEncoding, sequence: m.sequence,
    log_time: String(m.logTime), publish_time: String(m.publishTime), message: parse(schema, m.data),
  });
}
console.log(JSON.stringify({
  sha256: createHash("sha256").update(file).digest("hex"),
  library: reader.header.library, messages_in_statistics: String(reader.statistics.messageCount),
  chunks: reader.chunkIndexes.length, messages,
}, null, 1));
