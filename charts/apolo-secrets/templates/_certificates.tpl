{{/* The Secret that the webhook serves with: whoever makes it, it is never in a rendering, and no two write the same. */}}
{{- define "apolo-secrets.certificates.serving" -}}
{{- if eq .Values.certificates.mode "provided" -}}
{{ .Values.certificates.provided.secretName }}
{{- else if eq .Values.certificates.mode "cert-manager" -}}
{{ .Release.Name }}-webhook-cert-manager
{{- else -}}
{{ .Release.Name }}-webhook-tls
{{- end -}}
{{- end -}}

{{/* The name, or address, by which the API server knows the webhook. */}}
{{- define "apolo-secrets.certificates.host" -}}
{{- if .Values.webhook.url -}}
{{ (urlParse .Values.webhook.url).hostname }}
{{- else -}}
{{ .Release.Name }}-webhook.{{ .Release.Namespace }}.svc
{{- end -}}
{{- end -}}

{{/* What the controller is told of certificates. */}}
{{- define "apolo-secrets.certificates.flags" -}}
{{- if eq .Values.certificates.mode "builtin" -}}
- --certificates=builtin
- --webhook-name={{ .Release.Name }}
- --webhook-service={{ .Release.Name }}-webhook
{{- if .Values.webhook.url }}
- --webhook-host={{ include "apolo-secrets.certificates.host" . }}
{{- end }}
- --ca-secret={{ .Release.Name }}-webhook-ca
- --serving-secret={{ include "apolo-secrets.certificates.serving" . }}
- --serving-certificate-life={{ .Values.certificates.servingLife }}
{{- else -}}
- --certificates=off
{{- end -}}
{{- end -}}
