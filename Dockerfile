# The image that every task runs in: this tree's Snakemake on a base of your choice.
#
#   docker build -t IMAGE .                      on Miniforge, for workflows with --use-conda
#   docker build -t IMAGE --build-arg BASE=... . on any base with Python >= 3.11 and its venv module
#
# It needs BuildKit, which is the default since Docker 23. What to know about bases, private package indexes
# and registries is in misc/docker/README.md.
ARG BASE=condaforge/miniforge3:26.7.2-0

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off
WORKDIR /src
# First what changes seldom: the pinned upstream release with its requirements, and ours.
#
# Both secrets are optional: pip's configuration and the certificates that its index is checked with. They are
# there only while this step runs. Modules are compiled without time stamps: no task compiles or checks any.
#
# Each is the release of the lock file, held against its hash.
COPY misc/locks/image.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip,target=/run/secrets/pip.conf \
    --mount=type=secret,id=ca,target=/run/secrets/ca.pem \
    if [ -s /run/secrets/pip.conf ]; then export PIP_CONFIG_FILE=/run/secrets/pip.conf; fi \
    && if [ -s /run/secrets/ca.pem ]; then export PIP_CERT=/run/secrets/ca.pem; fi \
    && python3 -m venv /opt/snakemake \
    && /opt/snakemake/bin/pip install -q --no-compile --require-hashes -r image.txt \
    && find /opt/snakemake -name __pycache__ -prune -exec rm -r {} + \
    && /opt/snakemake/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/snakemake/lib

# Then this tree, which is built on that release and takes its place.
COPY pyproject.toml setup.py README.md LICENSE ./
COPY misc/edits misc/edits
COPY snakemake snakemake
COPY azure_batch_emulator azure_batch_emulator
COPY snakemake_executor_plugin_az_batch snakemake_executor_plugin_az_batch
COPY snakemake_storage_plugin_azblob snakemake_storage_plugin_azblob
RUN export PATH=/opt/snakemake/bin:$PATH \
    && pip wheel -q --no-index --no-deps --no-build-isolation -w wheels . \
    && pip install -q --no-index --no-deps --no-compile wheels/*.whl \
    && pip check \
    && pip uninstall -q -y setuptools \
    && cd /opt/snakemake/lib/python3*/site-packages \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash snakemake azure_batch_emulator \
        snakemake_executor_plugin_az_batch snakemake_storage_plugin_azblob \
    && python -c 'import snakemake; print(snakemake.__version__)' > /opt/snakemake/version

FROM ${BASE}
COPY --from=build /opt/snakemake /opt/snakemake
# A task runs with the user id that the node gives it, which no one in the image has heard of: it gets a home
# that anybody can write to, and a name.
ENV PATH=/opt/snakemake/bin:${PATH} \
    HOME=/tmp/home \
    LOGNAME=snakemake \
    XDG_CACHE_HOME=/tmp/home/.cache
ARG VERSION=9.27.1+azbatch.1
RUN mkdir -m 1777 /tmp/home \
    && test "$(cat /opt/snakemake/version)" = "$VERSION" \
    || { echo "This is Snakemake $(cat /opt/snakemake/version), but VERSION says $VERSION." >&2; exit 1; }
# What a run compares with what its workflow needs; misc/locks/update writes it, and misc/docker/label writes it anew
# with what else the image has.
ARG PACKAGES="annotated-types==0.8.0 argparse-dataclass==2.0.0 attrs==26.1.0 azure-batch==15.1.0 azure-core==1.41.0 \
azure-identity==1.27.0 azure-mgmt-batch==19.0.0 azure-mgmt-core==1.6.0 azure-storage-blob==12.31.1 \
certifi==2026.10.19.post1 cffi==2.1.1 charset-normalizer==3.5.3 conda-inject==1.3.2 configargparse==1.9.0 \
connection-pool==0.0.3 cryptography==50.0.2 docutils==0.22.4 dpath==2.2.0 fastjsonschema==2.22.3 gitdb==4.0.12 \
gitpython==3.2.1 greenlet==3.5.6 humanfriendly==10.0 idna==3.20 immutables==0.21 isodate==0.7.2 jinja2==3.1.6 \
jsonschema==4.26.0 jsonschema-specifications==2025.9.1 jupyter-core==5.9.1 markdown-it-py==4.3.0 \
markupsafe==3.0.4 mdurl==0.1.2 msal==1.39.0 msal-extensions==1.3.1 nbformat==5.11.1 packaging==25.0 \
platformdirs==4.14.8 psutil==7.2.2 pulp==3.3.2 pycparser==3.12 pydantic==2.14.4 pydantic-core==2.50.5 \
pygments==2.21.0 pyjwt==2.15.1 pyyaml==6.0.4 referencing==0.37.0 requests==2.34.2 rich==15.0.0 \
rpds-py==2026.9.1 smart-open==7.7.1 smmap==5.0.3 snakemake-interface-common==1.23.0 \
snakemake-interface-executor-plugins==9.4.0 snakemake-interface-logger-plugins==2.1.0 \
snakemake-interface-report-plugins==1.3.0 snakemake-interface-scheduler-plugins==2.0.2 \
snakemake-interface-storage-plugins==4.4.1 sqlalchemy==2.0.58 sqlmodel==0.0.37 tabulate==0.10.0 \
tenacity==9.2.1 throttler==1.2.3 traitlets==5.16.1 typing-extensions==4.16.0 typing-inspection==0.4.5 \
urllib3==2.8.0 wrapt==2.5.2 xxhash==4.1.0 yte==1.9.4"
LABEL org.opencontainers.image.title="snakemake-azbatch" \
    org.opencontainers.image.version="${VERSION}" \
    snakemake-azbatch.version="${VERSION}" \
    snakemake-azbatch.packages="snakemake==${VERSION} ${PACKAGES}" \
    org.opencontainers.image.licenses="MIT"
# The command line of a task is the whole command, whatever entry point the base has.
ENTRYPOINT []
CMD ["snakemake", "--version"]
