{{/*
The rows of the workload table: those of the value `workloads`, then the shipped ones of other kinds, as {rows: […]}. Refuses rows
that the API server would refuse in other words.
*/}}
{{- define "apolo-secrets.workloads" -}}
{{- $own := .Values.workloads | default list -}}
{{- $rows := $own -}}
{{- range $row := .Files.Get "files/workloads.yaml" | fromYamlArray -}}
  {{- $replaced := false -}}
  {{- range $own }}{{ if and (eq .group $row.group) (eq .kind $row.kind) }}{{ $replaced = true }}{{ end }}{{ end -}}
  {{- if not $replaced }}{{ $rows = append $rows $row }}{{ end -}}
{{- end -}}
{{- $seen := dict "pods" "" -}}
{{- range $row := $rows -}}
  {{- $name := include "apolo-secrets.workload.name" $row -}}
  {{- if hasKey $seen $name -}}
    {{- fail (printf "workloads: there is more than one row for %s (kind %s); make one of them, with the kind written as its API has it" $name $row.kind) -}}
  {{- end -}}
  {{- $_ := set $seen $name "" -}}
{{- end -}}
{{- dict "rows" $rows | toJson -}}
{{- end -}}

{{/* The plural of a row's kind. */}}
{{- define "apolo-secrets.workload.resource" -}}
{{- .resource | default (printf "%ss" (lower .kind)) -}}
{{- end -}}

{{/* A row's kind as kubectl names it: `jobs.batch`. */}}
{{- define "apolo-secrets.workload.name" -}}
{{- list (include "apolo-secrets.workload.resource" .) .group | compact | join "." -}}
{{- end -}}

{{/*
What is looked at in an object of a row's kind, as {places: […]}: each has `steps`, the fields of the annotations behind them
(`leaves`), and whether that is a template, and not the metadata above one.
*/}}
{{- define "apolo-secrets.workload.places" -}}
{{- $places := list -}}
{{- range .templates -}}
  {{- $path := . -}}
  {{- $form := "template" -}}
  {{- if kindIs "map" . }}{{ $path = .path }}{{ $form = .form }}{{ end -}}
  {{- $steps := replace "[*]" ".[*]" $path | splitList "." -}}
  {{- range $index, $step := $steps -}}
    {{- if or (eq $index 0) (eq $step "spec") -}}
      {{- $places = append $places (dict "steps" (slice $steps 0 $index) "leaves" (list (list "metadata" "annotations")) "template" false) -}}
    {{- end -}}
  {{- end -}}
  {{- $leaves := list (list "metadata" "annotations") -}}
  {{- if eq $form "metadata" }}{{ $leaves = list (list "annotations") }}{{ end -}}
  {{- if eq $form "argo" }}{{ $leaves = append $leaves (list "annotations") }}{{ end -}}
  {{- $places = append $places (dict "steps" $steps "leaves" $leaves "template" true) -}}
{{- end -}}
{{- dict "places" ($places | uniq) | toJson -}}
{{- end -}}

{{/*
A CEL expression, an optional: the fields one below the other, from `at`: the object, which is one, a variable, or an optional. What is no object
on the way, as an API server hands it over where a schema does not say, has none.
*/}}
{{- define "apolo-secrets.workload.fields" -}}
{{- $at := .at -}}
{{- range .fields -}}
  {{- if has $at (list "object" "oldObject") }}{{ $at = printf "%s[?'%s']" $at . }}{{ continue }}{{ end -}}
  {{- if regexMatch "^v[0-9]+$" $at }}{{ $at = printf "dyn(type(%s) == map ? %s : {})[?'%s']" $at $at . }}{{ continue }}{{ end -}}
  {{- $at = printf "%s.optMap(o, type(o) == map ? o : {})[?'%s']" $at . -}}
{{- end -}}
{{- $at -}}
{{- end -}}

{{/*
A CEL expression: whether there are annotations of ours at a place, from `at`, with `depth` steps done.
*/}}
{{- define "apolo-secrets.workload.bears" -}}
{{- if not .steps -}}
  {{- $at := .at -}}
  {{- range $index, $leaf := .leaves -}}
    {{- $annotations := include "apolo-secrets.workload.fields" (dict "at" $at "fields" $leaf) -}}
    {{- if $index }} || {{ end -}}
    {{- printf "%s.optMap(a, type(a) == map && a.exists(k, k.startsWith('secrets.apolo.us/'))).orValue(false)" $annotations -}}
  {{- end -}}
{{- else -}}
  {{- $step := first .steps -}}
  {{- $var := printf "v%d" (int .depth) -}}
  {{- $of := ternary (printf "optional.of(%s)" .at) .at (regexMatch "^v[0-9]+$" .at) -}}
  {{- $next := dict "steps" (rest .steps) "leaves" .leaves "depth" (add1 .depth) "at" $var -}}
  {{- if eq $step "[*]" -}}
    {{- $inner := include "apolo-secrets.workload.bears" $next -}}
    {{- printf "%s.optMap(l, type(l) == list && l.exists(%s, %s)).orValue(false)" $of $var $inner -}}
  {{- else if eq $step "*" -}}
    {{- $inner := include "apolo-secrets.workload.bears" $next -}}
    {{- printf "%s.optMap(m, type(m) == map && m.exists(k, %s, %s)).orValue(false)" $of $var $inner -}}
  {{- else -}}
    {{- $field := include "apolo-secrets.workload.fields" (dict "at" .at "fields" (list $step)) -}}
    {{- include "apolo-secrets.workload.bears" (set $next "at" $field) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
A CEL expression of what is at a place, and of nothing else, a value that differs where it does: the templates themselves, or of
what is above them the annotations of ours.
*/}}
{{- define "apolo-secrets.workload.at" -}}
{{- if and (not .steps) .template -}}
  {{- .at -}}
{{- else if not .steps -}}
  {{- $annotations := include "apolo-secrets.workload.fields" (dict "at" .at "fields" (first .leaves)) -}}
  {{- printf "%s.optMap(a, type(a) == map ? a.transformMap(k, v, k.startsWith('secrets.apolo.us/'), v) : {}).orValue({})" $annotations -}}
{{- else -}}
  {{- $step := first .steps -}}
  {{- $var := printf "v%d" (int .depth) -}}
  {{- $of := ternary (printf "optional.of(%s)" .at) .at (regexMatch "^v[0-9]+$" .at) -}}
  {{- $next := dict "steps" (rest .steps) "leaves" .leaves "template" .template "depth" (add1 .depth) "at" $var -}}
  {{- if eq $step "[*]" -}}
    {{- $inner := include "apolo-secrets.workload.at" $next -}}
    {{- printf "%s.optMap(l, type(l) == list ? l.map(%s, %s) : [])" $of $var $inner -}}
  {{- else if eq $step "*" -}}
    {{- $inner := include "apolo-secrets.workload.at" $next -}}
    {{- printf "%s.optMap(m, type(m) == map ? m.transformMap(k, %s, %s) : {})" $of $var $inner -}}
  {{- else -}}
    {{- $field := include "apolo-secrets.workload.fields" (dict "at" .at "fields" (list $step)) -}}
    {{- include "apolo-secrets.workload.at" (set $next "at" $field) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* The conditions under which an object of a row's kind is held up. */}}
{{- define "apolo-secrets.workload.conditions" -}}
{{- $bears := list -}}
{{- $differs := list "request.operation == 'CREATE'" -}}
{{- range (include "apolo-secrets.workload.places" . | fromJson).places -}}
  {{- $_ := set . "depth" 0 -}}
  {{- $bears = append $bears (include "apolo-secrets.workload.bears" (merge (dict "at" "object") .)) -}}
  {{- $now := include "apolo-secrets.workload.at" (merge (dict "at" "object") .) -}}
  {{- $before := include "apolo-secrets.workload.at" (merge (dict "at" "oldObject") .) -}}
  {{- $differs = append $differs (printf "%s != %s" $now $before) -}}
{{- end }}
- name: bears-our-annotations
  expression: >-
    {{- join " ||\n" $bears | nindent 4 }}
- name: is-new-or-differs
  expression: >-
    {{- join " ||\n" $differs | nindent 4 }}
{{- end -}}
