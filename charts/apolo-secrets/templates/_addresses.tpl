{{/* A regular expression: an address of IPv6, without brackets and zone. */}}
{{- define "apolo-secrets.ipv6" -}}
{{- $group := "[0-9A-Fa-f]{1,4}" -}}
{{- $forms := list (printf "(%s:){7}%s" $group $group) (printf "(%s:){1,7}:" $group) (printf ":(:%s){1,7}" $group) "::" -}}
{{- range $after := list 1 2 3 4 5 6 -}}
  {{- $forms = append $forms (printf "(%s:){1,%d}(:%s){1,%d}" $group (sub 7 $after) $group $after) -}}
{{- end -}}
({{ join "|" $forms }})
{{- end -}}

{{/* A regular expression: a range of addresses, of either version. */}}
{{- define "apolo-secrets.cidr" -}}
{{- $byte := "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])" -}}
^(({{ $byte }}\.){3}{{ $byte }}/(3[0-2]|[12]?[0-9])|{{ include "apolo-secrets.ipv6" . }}/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$
{{- end -}}

{{/* A regular expression: where an API server asks, with a path or without, but without a final "/". */}}
{{- define "apolo-secrets.url" -}}
^https://([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?|\[{{ include "apolo-secrets.ipv6" . }}\])(:[1-9][0-9]*)?(/[-A-Za-z0-9._~/]*[-A-Za-z0-9._~])?$
{{- end -}}
