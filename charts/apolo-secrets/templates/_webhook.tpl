{{/* How the API server reaches a path of the webhook. */}}
{{- define "apolo-secrets.webhook.clientConfig" -}}
{{- with .root.Values.webhook.url -}}
url: {{ . }}{{ $.path }}
{{- else -}}
service:
  name: {{ .root.Release.Name }}-webhook
  namespace: {{ .root.Release.Namespace }}
  port: 443
  path: {{ .path }}
{{- end -}}
{{- end -}}

{{/*
The annotations of both configurations. Whose certificates the API server trusts, caBundle, is not in what is rendered: the controller
or cert-manager writes it, or whoever brings the certificate, and it stays what it is when the release is upgraded.
*/}}
{{- define "apolo-secrets.webhook.annotations" -}}
{{- if eq .Values.certificates.mode "cert-manager" -}}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ .Release.Name }}-webhook
{{- end -}}
{{- end -}}

{{/* What holds for every hook of ours. */}}
{{- define "apolo-secrets.webhook.settings" -}}
admissionReviewVersions: [v1]
sideEffects: None
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
# A Pod that asks for secrets and was not seen by us would start without them, or with what it may not have.
failurePolicy: Fail
matchPolicy: Equivalent
{{ include "apolo-secrets.acts" . }}
{{- end -}}

{{/* Only Pods that bear an annotation of ours: no other ever reaches us, and none waits for us. */}}
{{- define "apolo-secrets.webhook.asks" -}}
- name: bears-our-annotations
  expression: >-
    has(object.metadata.annotations) &&
    object.metadata.annotations.exists(name, name.startsWith("secrets.apolo.us/"))
{{- end -}}

{{/* The hook for grants: when somebody may have got more, or has touched what we wrote. */}}
{{- define "apolo-secrets.webhook.grants" -}}
rules:
  - operations: [CREATE, UPDATE]
    apiGroups: [secrets.apolo.us]
    apiVersions: [v1alpha1]
    resources: [secretgrants]
    scope: Namespaced
{{ include "apolo-secrets.webhook.settings" . }}
matchConditions:
  - name: spec-or-our-annotations-differ
    expression: >-
      oldObject == null || object.?spec.orValue({}) != oldObject.?spec.orValue({}) ||
      {{ include "apolo-secrets.ours" "object.metadata.?annotations" }} !=
      {{ include "apolo-secrets.ours" "oldObject.metadata.?annotations" }}
{{- end -}}
