# The image of Apolo Secrets: one binary that needs nothing else, run by nobody in particular.
#
#     docker build --tag registry.example.com/apolo-secrets .
#
# tests/image makes the same without a container engine.
FROM rust:1.95-bookworm AS build
WORKDIR /apolo-secrets
COPY . .
RUN install -D "$(crates/apolo-secrets/build-static)" /image/apolo-secrets

FROM scratch
LABEL org.opencontainers.image.title="apolo-secrets" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/apolo-secrets /apolo-secrets
USER 65532:65532
ENTRYPOINT ["/apolo-secrets"]
