#!/usr/bin/env bash
# Lint the page's JavaScript and check its types, with the pinned tools of package-lock.json.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=.ci/js
# Installed once; again when what is to be installed changes.
[ $tools/node_modules/.package-lock.json -nt $tools/package-lock.json ] || npm --prefix $tools ci --silent --no-audit --no-fund
$tools/node_modules/.bin/oxlint --config $tools/.oxlintrc.json --deny-warnings src/omnireid/server/page src/omnireid/gallery/case_file
$tools/node_modules/.bin/tsc --project $tools/tsconfig.json
