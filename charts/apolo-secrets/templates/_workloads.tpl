{{/* The rows of the workload table: those of the value `workloads`, then the shipped ones of other kinds, as {rows: […]}. */}}
{{- define "apolo-secrets.workloads" -}}
{{- $own := .Values.workloads -}}
{{- $rows := $own -}}
{{- range $row := .Files.Get "files/workloads.yaml" | fromYamlArray -}}
  {{- $replaced := false -}}
  {{- range $own }}{{ if and (eq .group $row.group) (eq .kind $row.kind) }}{{ $replaced = true }}{{ end }}{{ end -}}
  {{- if not $replaced }}{{ $rows = append $rows $row }}{{ end -}}
{{- end -}}
{{- dict "rows" $rows | toJson -}}
{{- end -}}

{{/* The plural of a row's kind. */}}
{{- define "apolo-secrets.workload.resource" -}}
{{- .resource | default (printf "%ss" (lower .kind)) -}}
{{- end -}}

{{/* The steps of the path of a template, and where annotations are in one, as {steps: […], annotations: […]}. */}}
{{- define "apolo-secrets.workload.steps" -}}
{{- $path := . -}}
{{- $annotations := list ".?metadata.?annotations" -}}
{{- if kindIs "map" . -}}
  {{- $path = .path -}}
  {{- if eq .form "metadata" }}{{ $annotations = list ".?annotations" }}{{ end -}}
  {{- if eq .form "argo" }}{{ $annotations = append $annotations ".?annotations" }}{{ end -}}
{{- end -}}
{{- dict "steps" (replace "[*]" ".[*]" $path | splitList ".") "annotations" $annotations | toJson -}}
{{- end -}}

{{/* A CEL expression: whether the annotations at `.` (an optional) have one of ours. */}}
{{- define "apolo-secrets.workload.has" -}}
{{- printf "%s.optMap(a, a != null && a.exists(name, name.startsWith('secrets.apolo.us/'))).orValue(false)" . -}}
{{- end -}}

{{/*
A CEL expression: whether something between an object and a template, or the template, bears an annotation of ours. `at` is an
expression of where it stands, `depth` the number of steps that led there.
*/}}
{{- define "apolo-secrets.workload.bears" -}}
{{- if not .steps -}}
  {{- $at := .at -}}
  {{- range $index, $annotations := .annotations -}}
    {{- if $index }} || {{ end -}}
    {{- include "apolo-secrets.workload.has" (printf "%s%s" $at $annotations) -}}
  {{- end -}}
{{- else -}}
  {{- $step := first .steps -}}
  {{- $var := printf "v%d" (int .depth) -}}
  {{- $next := dict "steps" (rest .steps) "annotations" .annotations "depth" (add1 .depth) -}}
  {{- if eq $step "[*]" -}}
    {{- $inner := include "apolo-secrets.workload.bears" (set $next "at" $var) -}}
    {{- printf "%s.optMap(l, l != null && l.exists(%s, %s)).orValue(false)" .at $var $inner -}}
  {{- else if eq $step "*" -}}
    {{- $inner := include "apolo-secrets.workload.bears" (set $next "at" $var) -}}
    {{- printf "%s.optMap(m, m != null && m.exists(k, %s, %s)).orValue(false)" .at $var $inner -}}
  {{- else -}}
    {{- if and .depth (eq $step "spec") -}}
      {{- include "apolo-secrets.workload.has" (printf "%s.?metadata.?annotations" .at) }} || {{ end -}}
    {{- include "apolo-secrets.workload.bears" (set $next "at" (printf "%s.?%s" .at $step)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* A CEL expression of the templates at a path, and of nothing else: a value that differs where one of them does. */}}
{{- define "apolo-secrets.workload.templates" -}}
{{- if not .steps -}}
  {{- .at -}}
{{- else -}}
  {{- $step := first .steps -}}
  {{- $var := printf "v%d" (int .depth) -}}
  {{- $next := dict "steps" (rest .steps) "depth" (add1 .depth) -}}
  {{- if eq $step "[*]" -}}
    {{- $inner := include "apolo-secrets.workload.templates" (set $next "at" $var) -}}
    {{- printf "%s.optMap(l, l == null ? [] : l.map(%s, %s))" .at $var $inner -}}
  {{- else if eq $step "*" -}}
    {{- $inner := include "apolo-secrets.workload.templates" (set $next "at" $var) -}}
    {{- printf "%s.optMap(m, m == null ? {} : m.transformMap(k, %s, %s))" .at $var $inner -}}
  {{- else -}}
    {{- include "apolo-secrets.workload.templates" (set $next "at" (printf "%s.?%s" .at $step)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* The conditions under which an object of a row's kind is held up. */}}
{{- define "apolo-secrets.workload.conditions" -}}
{{- $bears := list (include "apolo-secrets.workload.has" "object.?metadata.?annotations") -}}
{{- $differs := list "request.operation == 'CREATE'" -}}
{{- range .templates -}}
  {{- $path := include "apolo-secrets.workload.steps" . | fromJson -}}
  {{- $bears = append $bears (include "apolo-secrets.workload.bears" (dict "steps" $path.steps "annotations" $path.annotations "depth" 0 "at" "object")) -}}
  {{- $templates := include "apolo-secrets.workload.templates" (dict "steps" $path.steps "depth" 0 "at" "object") -}}
  {{- $before := include "apolo-secrets.workload.templates" (dict "steps" $path.steps "depth" 0 "at" "oldObject") -}}
  {{- $differs = append $differs (printf "%s != %s" $templates $before) -}}
{{- end }}
- name: bears-our-annotations
  expression: >-
    {{- join " ||\n" $bears | nindent 4 }}
- name: is-new-or-has-another-template
  expression: >-
    {{- join " ||\n" $differs | nindent 4 }}
{{- end -}}
