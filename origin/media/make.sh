#!/bin/sh
# Makes netcinema's film: 24 seconds of test picture with a running clock and a
# tone that climbs, in three bit rates that share their CMAF segments between
# one DASH manifest and one HLS playlist. Needs ffmpeg with libx264.
#
#   media/make.sh        writes into media/site/; list.sh then lists the site
#
# The segments' folder is named after their content: what stands behind a
# segment's name never changes, so caches may keep it for ever.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"

seconds=24
rate=25
segment_seconds=4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A tone in A, a fifth higher every four seconds, that pulses once a second. A
# little shorter than the picture: the encoder's padding fills a segment, it
# doesn't open one more.
tone="aevalsrc=exprs='0.2*sin(2*PI*t*220*pow(1.5\,floor(t/4)))*exp(-3*mod(t\,1))':s=48000:d=23.9"

ffmpeg -hide_banner -loglevel error -nostdin -bitexact \
  -f lavfi -i "testsrc2=size=1280x720:rate=$rate:duration=$seconds" \
  -f lavfi -i "$tone" \
  -filter_complex "[0:v]split=3[a][b][c];[a]null[high];[b]scale=640:360[middle];[c]scale=320:180[low]" \
  -map '[high]' -map '[middle]' -map '[low]' -map 1:a \
  -c:v libx264 -preset veryslow -pix_fmt yuv420p -flags +bitexact -threads 1 \
  -g $((rate * segment_seconds)) -keyint_min $((rate * segment_seconds)) -sc_threshold 0 \
  -profile:v:0 main -profile:v:1 main -profile:v:2 baseline \
  -b:v:0 480k -maxrate:v:0 620k -bufsize:v:0 1200k \
  -b:v:1 190k -maxrate:v:1 250k -bufsize:v:1 480k \
  -b:v:2 75k -maxrate:v:2 100k -bufsize:v:2 190k \
  -c:a aac -b:a 48k -ac 1 -flags:a +bitexact \
  -f dash -seg_duration $segment_seconds -frag_type none \
  -use_template 1 -use_timeline 1 -dash_segment_type mp4 -format_options movflags=+cmaf \
  -adaptation_sets 'id=0,streams=v id=1,streams=a' \
  -init_seg_name 'RELEASE-$RepresentationID$-init.m4s' \
  -media_seg_name 'RELEASE-$RepresentationID$-$Number%02d$.m4s' \
  -hls_playlist 1 -hls_master_name master.m3u8 \
  "$work/manifest.mpd"

# One name for this take: the hash of everything in it.
release=take-$(cat "$work"/RELEASE-*.m4s | sha256sum | cut -c1-12)
rm -rf site/take-* site/*.m3u8 site/*.mpd
mkdir -p "site/$release"
for segment in "$work"/RELEASE-*.m4s; do
  name=${segment##*/RELEASE-}
  mv "$segment" "site/$release/$name"
done
# Bits per second of a stream's largest segment, which is what a playlist must
# announce (RFC 8216 section 4.3.4.2); the muxer writes the mean.
peak() {
  wc -c "site/$release/$1"-[0-9]*.m4s |
    awk -v s=$segment_seconds '$2 != "total" && $1 > max { max = $1 } END { print max * 8 / s }'
}
high=$(peak 0) middle=$(peak 1) low=$(peak 2) audio=$(peak 3)
for playlist in "$work"/*.mpd "$work"/*.m3u8; do
  # When it was made is no date of the programme.
  sed -e "s#RELEASE-#$release/#g" -e '/EXT-X-PROGRAM-DATE-TIME/d' \
    -e "/<Representation id=\"0\"/s/bandwidth=\"[0-9]*\"/bandwidth=\"$high\"/" \
    -e "/<Representation id=\"1\"/s/bandwidth=\"[0-9]*\"/bandwidth=\"$middle\"/" \
    -e "/<Representation id=\"2\"/s/bandwidth=\"[0-9]*\"/bandwidth=\"$low\"/" \
    -e "/<Representation id=\"3\"/s/bandwidth=\"[0-9]*\"/bandwidth=\"$audio\"/" \
    -e "/x720,/s/BANDWIDTH=[0-9]*/BANDWIDTH=$((high + audio))/" \
    -e "/x360,/s/BANDWIDTH=[0-9]*/BANDWIDTH=$((middle + audio))/" \
    -e "/x180,/s/BANDWIDTH=[0-9]*/BANDWIDTH=$((low + audio))/" \
    "$playlist" > "site/${playlist##*/}"
done

./list.sh
du -sh site
