#!/usr/bin/env bash
# Snakemake runs a copy of this in the new conda environment, from the folder it works in; neither
# need be near the project. The package itself is somewhere all the same: the Python that runs
# Snakemake has imported it to read the workflow, which puts that Python on the PATH. The
# environment gets a link to it, so that its code is never older than Snakemake's.
set -euo pipefail

package=
while IFS= read -r python && [ -z "$package" ]; do
  package=$("$python" -c 'import avca_pipeline; print(*avca_pipeline.__path__)' 2>/dev/null) || true
done < <(type -ap python python3)
if [ -z "$package" ]; then
  echo "avca: error: no Python on the PATH has avca_pipeline; install it beside Snakemake" >&2
  exit 1
fi

ln -s "$package" "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/avca_pipeline"
avca=$(python -c 'import sysconfig; print(sysconfig.get_path("scripts"))')/avca
printf '#!/bin/sh\nexec python -P -m avca_pipeline.cli "$@"\n' > "$avca"
chmod +x "$avca"
