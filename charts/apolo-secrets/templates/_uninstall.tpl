{{/* The names of all our policies, of which each has a binding of the same name. */}}
{{- define "apolo-secrets.policies" -}}
{{- $policies := list "bindings" "closed" "controller" "controller-pods" "controller-secrets" "deliveries" "grant-roles" "grants" "pods-fixed" "revisions" "revisions-laid-over" "stamps" -}}
{{- range $row := (include "apolo-secrets.workloads" . | fromJson).rows -}}
  {{- if ne (get $row "stamps" | toString) "false" -}}
    {{- $policies = append $policies (printf "stamps-%s" (include "apolo-secrets.workload.name" $row)) -}}
  {{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range $policies }}{{ $names = append $names (printf "%s-%s" $.Release.Name .) }}{{ end -}}
{{- toJson $names -}}
{{- end -}}

{{/* What is made when the release is uninstalled, before anything of it goes, and goes itself when that has succeeded. */}}
{{- define "apolo-secrets.uninstall.annotations" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
