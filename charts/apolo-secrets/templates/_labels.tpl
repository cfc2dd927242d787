{{/* What an object of this release is known by. */}}
{{- define "apolo-secrets.labels" -}}
app.kubernetes.io/name: apolo-secrets
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* By what the Pods of a component are selected: this never changes, for a Deployment's selector cannot. */}}
{{- define "apolo-secrets.selector" -}}
app.kubernetes.io/name: apolo-secrets
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of an object of a component, but for its Pods. */}}
{{- define "apolo-secrets.labelsOf" -}}
{{ include "apolo-secrets.labels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}
