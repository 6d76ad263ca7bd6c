// Reads a DASH manifest: one static period, segments by template and timeline, which is what
// media/make.sh writes.

/**
 * The tracks of a manifest: [{ kind, renditions: [{ id, type, bandwidth, label, init, segments }] }]
 * with segments as [{ url, start, end }] in seconds. Renditions go from the lowest to the highest
 * bit rate.
 */
export function parseManifest(text, base) {
  const xml = new DOMParser().parseFromString(text, "application/xml");
  if (xml.querySelector("parsererror")) throw new Error("the manifest isn't XML");
  const tracks = [...xml.querySelectorAll("AdaptationSet")].map((set) => ({
    kind: set.getAttribute("contentType"),
    renditions: [...set.querySelectorAll("Representation")]
      .map((representation) => parseRendition(representation, base))
      .sort((a, b) => a.bandwidth - b.bandwidth),
  }));
  if (tracks.length === 0) throw new Error("the manifest has no tracks");
  return tracks;
}

function parseRendition(representation, base) {
  const id = representation.getAttribute("id");
  const template = representation.querySelector("SegmentTemplate");
  const height = representation.getAttribute("height");
  const mimeType = representation.getAttribute("mimeType");
  const codecs = representation.getAttribute("codecs");
  const initialization = template.getAttribute("initialization");
  return {
    id,
    type: `${mimeType}; codecs="${codecs}"`,
    bandwidth: Number(representation.getAttribute("bandwidth")),
    label: height ? `${height}p` : "audio",
    init: new URL(expand(initialization, id), base).href,
    segments: parseTimeline(template, id, base),
  };
}

function parseTimeline(template, id, base) {
  const timescale = Number(template.getAttribute("timescale"));
  const media = template.getAttribute("media");
  let number = Number(template.getAttribute("startNumber"));
  let time = 0;
  const segments = [];
  for (const entry of template.querySelectorAll("S")) {
    if (entry.hasAttribute("t")) time = Number(entry.getAttribute("t"));
    const duration = Number(entry.getAttribute("d"));
    const repeats = Number(entry.getAttribute("r") ?? 0);
    for (let i = 0; i <= repeats; i += 1) {
      segments.push({
        url: new URL(expand(media, id, number), base).href,
        start: time / timescale,
        end: (time + duration) / timescale,
      });
      number += 1;
      time += duration;
    }
  }
  return segments;
}

// $RepresentationID$, $Number$ and $Number%05d$ of a segment template.
function expand(template, id, number) {
  return template
    .replaceAll("$RepresentationID$", id)
    .replace(/\$Number(?:%0(\d+)d)?\$/, (_, width) => String(number).padStart(Number(width ?? 0), "0"));
}
