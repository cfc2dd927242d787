{{/* How the API server reaches a path of the webhook. */}}
{{- define "apolo-secrets.webhook.clientConfig" -}}
{{- $webhook := .root.Values.webhook -}}
url: {{ required "webhook.url: this version of the chart brings no webhook into the cluster; say where one runs, such as https://127.0.0.1:10250" $webhook.url }}{{ .path }}
caBundle: {{ required "webhook.caBundle: the API server trusts only a webhook whose CA it knows; give the CA of webhook.url as PEM in base64" $webhook.caBundle }}
{{- end -}}

{{/* What holds for every hook of ours. */}}
{{- define "apolo-secrets.webhook.settings" -}}
admissionReviewVersions: [v1]
sideEffects: None
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
# A Pod that asks for secrets and was not seen by us would start without them, or with what it may not have.
failurePolicy: Fail
matchPolicy: Equivalent
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: [kube-system, {{ .Release.Namespace }}]
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

{{- define "apolo-secrets.labels" -}}
app.kubernetes.io/name: apolo-secrets
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
