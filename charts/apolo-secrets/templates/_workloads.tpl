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
    {{- fail (printf "\nworkloads: there is more than one row for %s (kind %s); make one of them, with the kind written as its API has it\n" $name $row.kind) -}}
  {{- end -}}
  {{- $_ := set $seen $name "" -}}
{{- end -}}
{{- dict "rows" $rows | toJson -}}
{{- end -}}

{{/* The rows of the value `workloads`, as the file that the processes read. */}}
{{- define "apolo-secrets.workloads.file" -}}
{{- toYaml .Values.workloads -}}
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
A CEL expression: whether something holds of what is at a place, or of one of all that is there, from `at`, which is the object or a
variable. The template `inner` says what, of the variable `it`, which was reached by those of `trail`; `with` is handed on to it. What is
no object or list on the way, as an API server hands it over where a schema does not say, has nothing below it.

Each value is bound to a variable, as the one element of a list: optMap would write the whole way to it down twice at each step.
*/}}
{{- define "apolo-secrets.workload.exists" -}}
{{- if not .steps -}}
  {{- include .inner (dict "it" .at "trail" .trail "depth" .depth "with" .with) -}}
{{- else -}}
  {{- $step := first .steps -}}
  {{- $var := printf "v%d" (int .depth) -}}
  {{- $next := dict "at" $var "steps" (rest .steps) "trail" (append .trail $var) "depth" (add1 .depth) "inner" .inner "with" .with -}}
  {{- $inner := include "apolo-secrets.workload.exists" $next -}}
  {{- if eq $step "[*]" -}}
    {{- printf "(type(%s) == list && %s.exists(%s, %s))" .at .at $var $inner -}}
  {{- else if eq $step "*" -}}
    {{- printf "(type(%s) == map && %s.exists(k, %s, %s))" .at .at $var $inner -}}
  {{- else -}}
    {{- $isMap := ternary "" (printf "type(%s) == map && " .at) (has .at (list "object" "oldObject")) -}}
    {{- printf "(%s[dyn(%s[?'%s'].orValue(null))].exists(%s, %s))" $isMap .at $step $var $inner -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* A CEL expression: whether `it` are annotations of which some are ours. */}}
{{- define "apolo-secrets.workload.areOurs" -}}
(type({{ .it }}) == map && {{ .it }}.exists(k, k.startsWith('secrets.apolo.us/')))
{{- end -}}

{{/*
A CEL expression of what is at a place, and of nothing else, a value that differs where it does: the templates themselves, or of
what is above them the annotations of ours.
*/}}
{{- define "apolo-secrets.workload.at" -}}
{{- if and (not .steps) .template -}}
  {{- .at -}}
{{- else if not .steps -}}
  {{- printf "dyn(type(%s) == map ? %s : {}).transformMap(k, v, k.startsWith('secrets.apolo.us/'), v)" .at .at -}}
{{- else -}}
  {{- $step := first .steps -}}
  {{- $var := printf "v%d" (int .depth) -}}
  {{- $inner := include "apolo-secrets.workload.at" (dict "at" $var "steps" (rest .steps) "template" .template "depth" (add1 .depth)) -}}
  {{- if eq $step "[*]" -}}
    {{- printf "(type(%s) == list ? %s : []).map(%s, %s)" .at .at $var $inner -}}
  {{- else if eq $step "*" -}}
    {{- printf "dyn(type(%s) == map ? %s : {}).transformMap(k, %s, %s)" .at .at $var $inner -}}
  {{- else if has .at (list "object" "oldObject") -}}
    {{- printf "[dyn(%s[?'%s'].orValue(null))].map(%s, %s)" .at $step $var $inner -}}
  {{- else -}}
    {{- printf "(type(%s) == map ? [dyn(%s[?'%s'].orValue(null))] : []).map(%s, %s)" .at .at $step $var $inner -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* The conditions under which an object of a row's kind is held up. */}}
{{- define "apolo-secrets.workload.conditions" -}}
{{- $bears := list -}}
{{- $differs := list "request.operation == 'CREATE'" -}}
{{- range $place := (include "apolo-secrets.workload.places" . | fromJson).places -}}
  {{- range $leaf := $place.leaves -}}
    {{- $bears = append $bears (include "apolo-secrets.workload.exists" (dict "at" "object" "steps" (concat $place.steps $leaf) "trail" list "depth" 0 "inner" "apolo-secrets.workload.areOurs" "with" "")) -}}
  {{- end -}}
  {{- $steps := ternary $place.steps (concat $place.steps (first $place.leaves)) $place.template -}}
  {{- $values := list -}}
  {{- range list "object" "oldObject" -}}
    {{- $values = append $values (include "apolo-secrets.workload.at" (dict "at" . "steps" $steps "template" $place.template "depth" 0)) -}}
  {{- end -}}
  {{- $differs = append $differs (join " != " $values) -}}
{{- end }}
- name: bears-our-annotations
  expression: >-
    {{- join " ||\n" $bears | nindent 4 }}
- name: is-new-or-differs
  expression: >-
    {{- join " ||\n" $differs | nindent 4 }}
{{- end -}}

{{/*
A CEL expression: whether a Pod template of an object of a row's kind bears a stamp that is neither the requester's own nor the one
that a template of the same place bore before, which is otherwise the same or which a neutral editor has changed.
*/}}
{{- define "apolo-secrets.workload.isForged" -}}
{{- $forged := list -}}
{{- range $place := (include "apolo-secrets.workload.places" . | fromJson).places -}}
  {{- if $place.template -}}
    {{- $forged = append $forged (include "apolo-secrets.workload.exists" (dict "at" "object" "steps" $place.steps "trail" list "depth" 0 "inner" "apolo-secrets.template.isForged" "with" $place)) -}}
  {{- end -}}
{{- end -}}
{{- join " ||\n" $forged -}}
{{- end -}}

{{/* The same of `it`, a template of the place `with`. */}}
{{- define "apolo-secrets.template.isForged" -}}
{{- $forged := list -}}
{{- range $leaf := .with.leaves -}}
  {{- $with := dict "steps" $.with.steps "leaf" $leaf -}}
  {{- $forged = append $forged (include "apolo-secrets.workload.exists" (dict "at" $.it "steps" $leaf "trail" (list $.it) "depth" $.depth "inner" "apolo-secrets.stamp.isForged" "with" $with)) -}}
{{- end -}}
{{- join " || " $forged -}}
{{- end -}}

{{/* The same of `it`, the annotations of a template. */}}
{{- define "apolo-secrets.stamp.isForged" -}}
{{- $with := merge (dict "now" .trail) .with -}}
(type({{ .it }}) == map && {{ .it }}.exists(k, k.startsWith('secrets.apolo.us/launched-by')) &&
!({{ .it }}[?'secrets.apolo.us/launched-by'].orValue('') in ['', request.userInfo.username] &&
({{ .it }}[?'secrets.apolo.us/launched-by-groups'].orValue('') == '' ||
{{ .it }}['secrets.apolo.us/launched-by-groups'].split('\n').all(group, group in request.userInfo.groups))) &&
!(request.operation == 'UPDATE' &&
{{ include "apolo-secrets.workload.exists" (dict "at" "oldObject" "steps" .with.steps "trail" list "depth" .depth "inner" "apolo-secrets.template.was" "with" $with) }}))
{{- end -}}

{{/* A CEL expression: whether `it`, a template that was there, is the one that the variables `now` of `with` lead through. */}}
{{- define "apolo-secrets.template.was" -}}
{{- include "apolo-secrets.workload.exists" (dict "at" .it "steps" .with.leaf "trail" (list .it) "depth" .depth "inner" "apolo-secrets.stamp.was" "with" .with) -}}
{{- end -}}

{{/* The same of `it`, the annotations of the template that was there. */}}
{{- define "apolo-secrets.stamp.was" -}}
{{- $now := last .with.now -}}
(type({{ .it }}) == map &&
['secrets.apolo.us/launched-by', 'secrets.apolo.us/launched-by-groups'].all(k, {{ .it }}[?k].orValue('') == {{ $now }}[?k].orValue('')) &&
(variables.isNeutral || (
{{- range $index, $field := .with.leaf -}}
  {{- range $side, $var := list (index $.trail $index) (index $.with.now $index) -}}
    {{- if $side }} == {{ end -}}
    {{- printf "%s.transformMap(k, v, k != '%s', v)" $var $field -}}
  {{- end }} &&
{{ end -}}
{{ .it }}.transformMap(k, v, k != 'kubectl.kubernetes.io/restartedAt', v) ==
{{ $now }}.transformMap(k, v, k != 'kubectl.kubernetes.io/restartedAt', v))))
{{- end -}}

{{/*
A CEL expression: whether the requester is an account of the workload table, and a controlling owner of the object is of its kind.
*/}}
{{- define "apolo-secrets.workloads.isOfController" -}}
{{- $trusted := list -}}
{{- $ofAnyVersion := list -}}
{{- range $row := (include "apolo-secrets.workloads" . | fromJson).rows -}}
  {{- if ne (get $row "stamps" | toString) "false" -}}
    {{- range $creator := $row.creators -}}
      {{- if $row.owner -}}
        {{- $ofAnyVersion = append $ofAnyVersion (printf "'%s %s/%s'" $creator $row.owner.group $row.owner.kind) -}}
      {{- else -}}
        {{- range $version := $row.versions -}}
          {{- $trusted = append $trusted (printf "'%s %s/%s'" $creator (list $row.group $version | compact | join "/") $row.kind) -}}
        {{- end -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false) && (
(request.userInfo.username + ' ' + o.apiVersion + '/' + o.kind) in [
{{- join ",\n" $trusted }}]
{{- if $ofAnyVersion }} ||
(request.userInfo.username + ' ' + (o.apiVersion.contains('/') ? o.apiVersion.split('/')[0] : '') + '/' + o.kind) in [
{{- join ",\n" $ofAnyVersion }}]
{{- end }}))
{{- end -}}
