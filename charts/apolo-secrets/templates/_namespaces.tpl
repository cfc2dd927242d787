{{/* Where hooks and policies act that leave kube-system and our own namespace alone. */}}
{{- define "apolo-secrets.acts" -}}
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: [kube-system, {{ .Release.Namespace }}]
    {{- with .Values.watchNamespaces }}
    - key: kubernetes.io/metadata.name
      operator: In
      values: {{ toJson . }}
    {{- end }}
{{- end -}}

{{/* Where policies act that hold in every namespace, unless only some are watched. */}}
{{- define "apolo-secrets.watches" -}}
{{- with .Values.watchNamespaces -}}
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: In
      values: {{ toJson . }}
{{- else -}}
namespaceSelector: {}
{{- end -}}
{{- end -}}
