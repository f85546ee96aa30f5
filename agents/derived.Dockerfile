# A derived stack on the image of its base, which has the agent too; docs/containers.md. BASE: the base's image.
#   stackyard stack image build NAME
ARG BASE
FROM ${BASE}
ARG NAME
USER root
RUN --mount=type=bind,target=/context --mount=type=secret,id=pip --mount=type=secret,id=ca \
    sh /context/image.sh "${NAME}" derived
ARG STACKS="{}" DIGEST=""
RUN printf '%s' "${STACKS}" > /opt/stack/stacks.json
LABEL stackyard.stack=${NAME} stackyard.digest=${DIGEST}
USER stackyard
