// Prints the fields of Foxglove's messages as JSON (message, field, number, type), from Foxglove's own package.
//   npm install @foxglove/schemas@2.1.0 && node schemas.mjs > schemas.json
import * as official from "@foxglove/schemas/internal.js";

const wanted = ["CircleAnnotation", "Color", "CompressedImage", "Grid", "ImageAnnotations", "KeyValuePair", "Log",
  "PackedElementField", "Point2", "PointsAnnotation", "Pose", "Quaternion", "RawImage", "TextAnnotation", "Vector2", "Vector3"];
const out = {};
for (const name of wanted) {
  const enums = Object.values(official.foxgloveEnumSchemas).filter((e) => e.parentSchemaName === name);
  const proto = official.generateProto(official.foxgloveMessageSchemas[name], enums);
  const fields = {};
  for (const line of proto.split("\n")) {
    const field = line.match(/^ *(repeated |optional )?([\w.]+) (\w+) = (\d+);/);
    const value = line.match(/^ *([A-Z0-9_]+) = (\d+);/);
    if (field) fields[field[3]] = `${field[4]} ${field[1] ?? ""}${field[2].replace(/^foxglove\./, "")}`;
    else if (value) fields[value[1]] = value[2];
  }
  out["foxglove." + name] = fields;
}
console.log(JSON.stringify(out, null, 1));
