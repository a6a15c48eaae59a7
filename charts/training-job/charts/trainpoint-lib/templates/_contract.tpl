{{- /* Generated from sdk/trainpoint/contract.py by tools/charts.py: do not edit. */ -}}

{{- /* Environment variables for each container. */ -}}
{{- define "trainpoint-lib.env" -}}
- name: TRAINPOINT_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: TRAINPOINT_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: TRAINPOINT_POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
- name: TRAINPOINT_NODE
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: TRAINPOINT_SERVICE_ACCOUNT
  valueFrom:
    fieldRef:
      fieldPath: spec.serviceAccountName
- name: TRAINPOINT_JOB
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['batch.kubernetes.io/job-name']
- name: TRAINPOINT_JOB_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['batch.kubernetes.io/controller-uid']
- name: TRAINPOINT_JOBSET
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['jobset.sigs.k8s.io/jobset-name']
- name: TRAINPOINT_JOBSET_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['jobset.sigs.k8s.io/jobset-uid']
- name: TRAINPOINT_WORKFLOW
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['trainpoint.dev/workflow']
- name: TRAINPOINT_RUN
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['trainpoint.dev/run']
- name: TRAINPOINT_TASK
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['trainpoint.dev/task']
- name: TRAINPOINT_INDEX
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['trainpoint.dev/index']
- name: TRAINPOINT_POLICY
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['trainpoint.dev/policy']
- name: TRAINPOINT_LOAD_POLICY
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['trainpoint.dev/load-policy']
- name: TRAINPOINT_COMPLETION_INDEX
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['trainpoint.dev/completion-index']
- name: TRAINPOINT_OWNER
  valueFrom:
    fieldRef:
      fieldPath: metadata.annotations['trainpoint.dev/owner']
- name: TRAINPOINT_RESUME_FROM
  valueFrom:
    fieldRef:
      fieldPath: metadata.annotations['trainpoint.dev/resume-from']
- name: TRAINPOINT_CHECKPOINT
  valueFrom:
    fieldRef:
      fieldPath: metadata.annotations['trainpoint.dev/checkpoint']
{{- end -}}

{{- /* Sources of environment variables for each container. */ -}}
{{- define "trainpoint-lib.envFrom" -}}
- secretRef:
    name: trainpoint-writer
    optional: true
{{- end -}}

{{- /* Volumes of the pod. */ -}}
{{- define "trainpoint-lib.volumes" -}}
- name: trainpoint
  configMap:
    name: trainpoint
    optional: true
{{- end -}}

{{- /* Where each container mounts them. */ -}}
{{- define "trainpoint-lib.volumeMounts" -}}
- name: trainpoint
  mountPath: /etc/trainpoint
  readOnly: true
{{- end -}}
