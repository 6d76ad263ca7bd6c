// The page around the player: what plays, and who served it.
//
// What the page knows also stands in data attributes of <html>, for whoever drives the browser:
// data-player, data-state, data-position (seconds), data-fetches, data-hits, data-error.

import { canPlay, play } from "./player.js";

const film = document.querySelector("#film");
const state = document.querySelector("#state");
const summary = document.querySelector("#summary");
const rows = document.querySelector("#fetches tbody");
const told = document.documentElement.dataset;
const counts = { fetches: 0, hits: 0 };

function tell(name, text) {
  told.state = name;
  state.textContent = text;
}

function failed(error) {
  told.error = String(error?.message ?? error);
  tell("failed", `It doesn't play: ${told.error}`);
}

// What Cache-Status says (RFC 9211): a list of caches, the one nearest to the origin first; we
// speak to the last. Without it nobody stood between the origin and us.
function servedBy(headers) {
  const caches = headers.get("Cache-Status");
  if (!caches) return { by: headers.get("Via") ?? "origin", cache: "none", hit: false };
  const [by, ...parameters] = caches.split(",").at(-1).split(";").map((part) => part.trim());
  const hit = parameters.includes("hit");
  const why = parameters.find((parameter) => parameter.startsWith("fwd="))?.slice("fwd=".length);
  return { by: by.replaceAll('"', ""), cache: hit ? "hit" : (why ?? "miss"), hit };
}

function onFetch({ name, rendition, headers, bytes, milliseconds }) {
  const { by, cache, hit } = servedBy(headers);
  const row = rows.insertRow();
  const cells = [name, rendition, by, cache, headers.get("Age") ?? "", Math.ceil(bytes / 1000), Math.round(milliseconds)];
  cells.forEach((content, index) => {
    const cell = row.insertCell();
    cell.textContent = content;
    if (index === 3 && cache !== "none") cell.className = hit ? "hit" : "miss";
    if (index > 3) cell.className = "number";
  });
  counts.fetches += 1;
  counts.hits += Number(hit);
  told.fetches = counts.fetches;
  told.hits = counts.hits;
  summary.textContent =
    cache === "none"
      ? "There is no edge between you and netcinema's own server."
      : `${by} served ${counts.hits} of ${counts.fetches} from its cache.`;
}

film.addEventListener("timeupdate", () => (told.position = film.currentTime.toFixed(1)));
film.addEventListener("playing", () => tell("playing", `Playing in ${film.videoHeight}p.`));
film.addEventListener("resize", () => {
  if (told.state === "playing") tell("playing", `Playing in ${film.videoHeight}p.`);
});
film.addEventListener("waiting", () => tell("waiting", "Waiting for the next segment …"));
film.addEventListener("pause", () => tell("paused", "Paused."));
film.addEventListener("ended", () => tell("ended", "The end. Reload the page: now the edge has it all."));
film.addEventListener("error", () => failed(film.error));

// Our own player wherever it can: only a page's own fetches show who served them.
if (canPlay() && !location.search.includes("player=native")) {
  told.player = "own";
  play(film, new URL("manifest.mpd", location.href).href, onFetch).catch(failed);
} else if (film.canPlayType("application/vnd.apple.mpegurl")) {
  told.player = "native";
  summary.textContent = "Your browser fetches the segments itself, and doesn't tell pages who served them.";
  film.src = "master.m3u8";
} else {
  failed("this browser has neither Media Source Extensions nor HLS");
}
