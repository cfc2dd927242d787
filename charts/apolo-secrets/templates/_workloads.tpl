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
A CEL expression: whether something holds of what is at a place, or of one of all that is there, from `at`, with `depth` steps
done. The template `inner` says what, of the variable `it`; `with` is handed on to it.
*/}}
{{- define "apolo-secrets.workload.exists" -}}
{{- $isVariable := regexMatch "^v[0-9]+$" .at -}}
{{- $var := printf "v%d" (int .depth) -}}
{{- $of := ternary (printf "optional.of(%s)" .at) .at $isVariable -}}
{{- if and (not .steps) (eq .at "object") -}}
  {{- include .inner (dict "it" .at "leaves" .leaves "depth" .depth "with" .with) -}}
{{- else if and (not .steps) $isVariable -}}
  {{- include .inner (dict "it" .at "leaves" .leaves "depth" .depth "with" .with) -}}
{{- else if not .steps -}}
  {{- printf "%s.optMap(%s, %s).orValue(false)" .at $var (include .inner (dict "it" $var "leaves" .leaves "depth" (add1 .depth) "with" .with)) -}}
{{- else -}}
  {{- $step := first .steps -}}
  {{- $next := dict "steps" (rest .steps) "leaves" .leaves "depth" (add1 .depth) "at" $var "inner" .inner "with" .with -}}
  {{- if eq $step "[*]" -}}
    {{- $inner := include "apolo-secrets.workload.exists" $next -}}
    {{- printf "%s.optMap(l, type(l) == list && l.exists(%s, %s)).orValue(false)" $of $var $inner -}}
  {{- else if eq $step "*" -}}
    {{- $inner := include "apolo-secrets.workload.exists" $next -}}
    {{- printf "%s.optMap(m, type(m) == map && m.exists(k, %s, %s)).orValue(false)" $of $var $inner -}}
  {{- else -}}
    {{- $field := include "apolo-secrets.workload.fields" (dict "at" .at "fields" (list $step)) -}}
    {{- include "apolo-secrets.workload.exists" (set $next "at" $field) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* A CEL expression: whether `it` bears annotations of ours. */}}
{{- define "apolo-secrets.workload.bears" -}}
{{- $it := .it -}}
{{- range $index, $leaf := .leaves -}}
  {{- $annotations := include "apolo-secrets.workload.fields" (dict "at" $it "fields" $leaf) -}}
  {{- if $index }} || {{ end -}}
  {{- printf "%s.optMap(a, type(a) == map && a.exists(k, k.startsWith('secrets.apolo.us/'))).orValue(false)" $annotations -}}
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
  {{- $bears = append $bears (include "apolo-secrets.workload.exists" (merge (dict "at" "object" "inner" "apolo-secrets.workload.bears") .)) -}}
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

{{/*
A CEL expression: whether `it`, a template, bears a stamp that is neither the requester's own nor the one that a template of the
same place bore before, which is otherwise the same or which a neutral editor has changed.
*/}}
{{- define "apolo-secrets.workload.isForged" -}}
{{- $root := . -}}
{{- range $index, $leaf := .leaves -}}
  {{- if $index }} || {{ end -}}
  {{- $kept := include "apolo-secrets.workload.exists" (merge (dict "at" "oldObject" "inner" "apolo-secrets.workload.isKept" "depth" $root.depth) (dict "with" (dict "it" $root.it "leaf" $leaf)) $root.with) -}}
  {{- include "apolo-secrets.workload.fields" (dict "at" $root.it "fields" $leaf) -}}
  {{- printf `.optMap(now, type(now) == map && now.exists(k, k.startsWith('secrets.apolo.us/launched-by')) &&
    !(now[?'secrets.apolo.us/launched-by'].orValue('') in ['', request.userInfo.username] &&
    (now[?'secrets.apolo.us/launched-by-groups'].orValue('') == '' ||
    now['secrets.apolo.us/launched-by-groups'].split('\n').all(group, group in request.userInfo.groups))) &&
    !(request.operation == 'UPDATE' && %s)).orValue(false)` $kept -}}
{{- end -}}
{{- end -}}

{{/* A CEL expression: whether `it`, a template that was there, bore the stamp of the annotations `now` of that of `with`, and is the same. */}}
{{- define "apolo-secrets.workload.isKept" -}}
{{- $leaf := .with.leaf -}}
{{- $annotations := include "apolo-secrets.workload.fields" (dict "at" .it "fields" $leaf) -}}
{{- $rest := list -}}
{{- range $index, $field := $leaf -}}
  {{- $above := slice $leaf 0 $index -}}
  {{- $same := list -}}
  {{- range $it := list $.it $.with.it -}}
    {{- $at := $it -}}
    {{- if $above }}{{ $at = printf "%s.orValue({})" (include "apolo-secrets.workload.fields" (dict "at" $it "fields" $above)) }}{{ end -}}
    {{- $same = append $same (printf "dyn(type(%s) == map ? %s : {}).transformMap(k, v, k != '%s', v)" $at $at $field) -}}
  {{- end -}}
  {{- $rest = append $rest (join " == " $same) -}}
{{- end -}}
{{- printf `%s.optMap(was, type(was) == map && ['secrets.apolo.us/launched-by', 'secrets.apolo.us/launched-by-groups'].all(k, now[?k] == was[?k]) &&
  (variables.isNeutral || (%s &&
  now.transformMap(k, v, k != 'kubectl.kubernetes.io/restartedAt', v) ==
  was.transformMap(k, v, k != 'kubectl.kubernetes.io/restartedAt', v)))).orValue(false)` $annotations (join " && " $rest) -}}
{{- end -}}

{{/*
A CEL expression: whether the requester is an account of the workload table, and a controlling owner of the object is of its kind.
*/}}
{{- define "apolo-secrets.workloads.isOfController" -}}
{{- $trusted := list -}}
{{- range $row := (include "apolo-secrets.workloads" . | fromJson).rows -}}
  {{- $owner := $row.owner | default $row -}}
  {{- $group := $owner.group -}}
  {{- $of := ternary (printf "o.apiVersion.startsWith('%s/')" $group) "!o.apiVersion.contains('/')" (ne $group "") -}}
  {{- range $creator := $row.creators -}}
    {{- $trusted = append $trusted (printf "(request.userInfo.username == '%s' && o.kind == '%s' && %s)" $creator $owner.kind $of) -}}
  {{- end -}}
{{- end -}}
object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false) && (
{{- join " ||\n" $trusted }}))
{{- end -}}
