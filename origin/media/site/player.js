// A small player on Media Source Extensions: fetches the segments of one DASH manifest, video in
// the rendition that the line carries, and appends them.

import { parseManifest } from "./manifest.js";

const AHEAD_SECONDS = 12; // so much is fetched before it is needed
const CAUTION = 0.7; // so much of the measured throughput is counted on
const SMOOTHING = 0.5; // the weight of the newest measurement
const ATTEMPTS = 3;

// The browser's own cache would hide who serves: it is left out, and the request says, in place of
// the browser's "no-cache", that any stored answer is welcome.
const THROUGH_THE_CDN = { cache: "no-store", headers: { "Cache-Control": "max-age=31536000" } };

export function canPlay() {
  return "MediaSource" in window && MediaSource.isTypeSupported('video/mp4; codecs="avc1.4d401f"');
}

/** Plays the manifest in the video element. Every fetch is told to `onFetch`. */
export async function play(video, manifestUrl, onFetch) {
  const state = { video, onFetch, throughput: 0, seeks: 0 };
  const manifest = await get(state, manifestUrl, { name: "manifest.mpd", rendition: "" });
  const tracks = parseManifest(new TextDecoder().decode(manifest), manifestUrl);
  const end = Math.max(...tracks.map((track) => track.renditions[0].segments.at(-1).end));

  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await event(source, "sourceopen");
  source.duration = end;
  video.addEventListener("seeking", () => (state.seeks += 1));

  const feeders = tracks.map((track) => ({
    track,
    buffer: source.addSourceBuffer(track.renditions[0].type),
    rendition: null,
  }));
  for (;;) {
    const { seeks } = state;
    await Promise.all(feeders.map((feeder) => feed(state, feeder, seeks)));
    if (seeks === state.seeks) {
      if (source.readyState === "open") source.endOfStream();
      await event(video, "seeking");
    }
  }
}

// Fetches and appends what is missing from here to the end, until somebody seeks.
async function feed(state, feeder, seeks) {
  const count = feeder.track.renditions[0].segments.length;
  for (let index = first(state, feeder); index < count; index += 1) {
    const { start, end } = feeder.track.renditions[0].segments[index];
    if (holds(feeder.buffer, (start + end) / 2)) continue;
    while (start - state.video.currentTime > AHEAD_SECONDS) {
      if (seeks !== state.seeks) return;
      await event(state.video, "timeupdate", "seeking");
    }
    const rendition = choose(state, feeder.track);
    if (rendition !== feeder.rendition) {
      await append(feeder.buffer, await get(state, rendition.init, { name: "init", rendition: rendition.label }));
      feeder.rendition = rendition;
    }
    const name = `${index + 1} of ${count}`;
    await append(feeder.buffer, await get(state, rendition.segments[index].url, { name, rendition: rendition.label }));
    if (seeks !== state.seeks) return;
  }
}

function first({ video }, { track }) {
  const index = track.renditions[0].segments.findIndex((segment) => segment.end > video.currentTime);
  return index < 0 ? track.renditions[0].segments.length : index;
}

// The highest rendition that the line carries; the lowest until that is known.
function choose({ throughput }, { renditions }) {
  return renditions.findLast((rendition) => rendition.bandwidth <= throughput * CAUTION) ?? renditions[0];
}

function holds(buffer, time) {
  const { buffered } = buffer;
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= time && time < buffered.end(i)) return true;
  }
  return false;
}

async function append(buffer, bytes) {
  buffer.appendBuffer(bytes);
  await event(buffer, "updateend");
}

async function get(state, url, about) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await getOnce(state, url, about);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * attempt));
    }
  }
}

async function getOnce(state, url, about) {
  const began = performance.now();
  const response = await fetch(url, THROUGH_THE_CDN);
  if (!response.ok) throw new Error(`${response.status} for ${url}`);
  const bytes = await response.arrayBuffer();
  const milliseconds = performance.now() - began;
  measure(state, bytes.byteLength, milliseconds);
  state.onFetch({ ...about, headers: response.headers, bytes: bytes.byteLength, milliseconds });
  return bytes;
}

// Bits per second. Small answers measure the way there, not the line.
function measure(state, bytes, milliseconds) {
  if (bytes < 16_000) return;
  const measured = (bytes * 8000) / Math.max(milliseconds, 1);
  state.throughput = state.throughput
    ? SMOOTHING * measured + (1 - SMOOTHING) * state.throughput
    : measured;
}

function event(target, ...names) {
  return new Promise((resolve) => {
    const done = () => {
      names.forEach((name) => target.removeEventListener(name, done));
      resolve();
    };
    names.forEach((name) => target.addEventListener(name, done));
  });
}
