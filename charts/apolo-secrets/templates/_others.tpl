{{/*
Another release that is in the cluster, in words; nothing where there is none, or no cluster is asked (helm template). Told by its hooks.
*/}}
{{- define "apolo-secrets.others" -}}
{{- range (lookup "admissionregistration.k8s.io/v1" "MutatingWebhookConfiguration" "" "").items -}}
  {{- $labels := .metadata.labels | default dict -}}
  {{- $namespace := get (.metadata.annotations | default dict) "meta.helm.sh/release-namespace" -}}
  {{- if eq (get $labels "app.kubernetes.io/name") "apolo-secrets" -}}
    {{- $release := get $labels "app.kubernetes.io/instance" | default .metadata.name -}}
    {{- if or (ne $release $.Release.Name) (not (has $namespace (list "" $.Release.Namespace))) -}}
the cluster has a release already, {{ $release }}{{ with $namespace }} in namespace {{ . }}{{ end }}, and two would take away each other's Roles and copies, whatever they watch; upgrade that one, or uninstall it before
      {{- break -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
