#!/bin/sh
# Lists the files of site/ for the program that embeds them: src/sample/files.rs.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/site"
{
  echo "&["
  find . -type f | sed 's#^\./##' | sort | sed 's#.*#    embedded!("&"),#'
  echo "]"
} > ../../src/sample/files.rs
