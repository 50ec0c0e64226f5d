"""The messages of caffe.proto that describe a net, as a table: one paragraph per message, one entry per field.

An entry is `name number type`, then `*` for a repeated field, `*p` for a packed one, `*last` for a field that a fork
repeats and whose last value is used, and `= default`. The number `-` marks a field with different numbers in different
forks: it is read in text, and neither read nor written in binary files.

Source: weiliu89/caffe, branch ssd, src/caffe/proto/caffe.proto (BlobProto's raw data: NVIDIA/caffe; round_mode, clip,
swish: BVLC/caffe; interp, bn, upsample, shuffle_channel: forks that have the same names).
"""

import re

ENUMS = """
Phase: TRAIN 0 TEST 1
DimCheckMode: STRICT 0 PERMISSIVE 1
Engine: DEFAULT 0 CAFFE 1 CUDNN 2
VarianceNorm: FAN_IN 0 FAN_OUT 1 AVERAGE 2
RawType: DOUBLE 0 FLOAT 1 FLOAT16 2 INT 3 UINT 4
DB: LEVELDB 0 LMDB 1
EmitType: CENTER 0 MIN_OVERLAP 1
AnnotationType: BBOX 0
ResizeMode: WARP 1 FIT_SMALL_SIZE 2 FIT_LARGE_SIZE_AND_PAD 3
PadMode: CONSTANT 1 MIRRORED 2 REPEAT_NEAREST 3
InterpMode: LINEAR 1 AREA 2 NEAREST 3 CUBIC 4 LANCZOS4 5
NormalizationMode: FULL 0 VALID 1 BATCH_SIZE 2 NONE 3
EltwiseOp: PROD 0 SUM 1 MAX 2
HingeNorm: L1 1 L2 2
NormRegion: ACROSS_CHANNELS 0 WITHIN_CHANNEL 1
PoolMethod: MAX 0 AVE 1 STOCHASTIC 2
RoundMode: CEIL 0 FLOOR 1
ReductionOp: SUM 1 ASUM 2 SUMSQ 3 MEAN 4
CodeType: CORNER 1 CENTER_SIZE 2 CORNER_SIZE 3
LocLossType: L2 0 SMOOTH_L1 1
ConfLossType: SOFTMAX 0 LOGISTIC 1
MatchType: BIPARTITE 0 PER_PREDICTION 1
MiningType: NONE 0 MAX_NEGATIVE 1 HARD_EXAMPLE 2
BnMode: LEARN 0 INFERENCE 1
V1LayerType: NONE 0 ACCURACY 1 BNLL 2 CONCAT 3 CONVOLUTION 4 DATA 5 DROPOUT 6 EUCLIDEAN_LOSS 7 FLATTEN 8 HDF5_DATA 9
  HDF5_OUTPUT 10 IM2COL 11 IMAGE_DATA 12 INFOGAIN_LOSS 13 INNER_PRODUCT 14 LRN 15 MULTINOMIAL_LOGISTIC_LOSS 16
  POOLING 17 RELU 18 SIGMOID 19 SOFTMAX 20 SOFTMAX_LOSS 21 SPLIT 22 TANH 23 WINDOW_DATA 24 ELTWISE 25 POWER 26
  SIGMOID_CROSS_ENTROPY_LOSS 27 HINGE_LOSS 28 MEMORY_DATA 29 ARGMAX 30 THRESHOLD 31 DUMMY_DATA 32 SLICE 33 MVN 34
  ABSVAL 35 SILENCE 36 CONTRASTIVE_LOSS 37 EXP 38 DECONVOLUTION 39 RELU6 61
"""

# The types of V1 records, and the names that Caffe has used since.
_V1 = """
ABSVAL AbsVal; ACCURACY Accuracy; ARGMAX ArgMax; BNLL BNLL; CONCAT Concat; CONTRASTIVE_LOSS ContrastiveLoss;
CONVOLUTION Convolution; DATA Data; DECONVOLUTION Deconvolution; DROPOUT Dropout; DUMMY_DATA DummyData; ELTWISE
Eltwise; EUCLIDEAN_LOSS EuclideanLoss; EXP Exp; FLATTEN Flatten; HDF5_DATA HDF5Data; HDF5_OUTPUT HDF5Output;
HINGE_LOSS HingeLoss; IM2COL Im2col; IMAGE_DATA ImageData; INFOGAIN_LOSS InfogainLoss; INNER_PRODUCT InnerProduct;
LRN LRN; MEMORY_DATA MemoryData; MULTINOMIAL_LOGISTIC_LOSS MultinomialLogisticLoss; MVN MVN; POOLING Pooling; POWER
Power; RELU ReLU; RELU6 ReLU6; SIGMOID Sigmoid; SIGMOID_CROSS_ENTROPY_LOSS SigmoidCrossEntropyLoss; SILENCE Silence;
SLICE Slice; SOFTMAX Softmax; SOFTMAX_LOSS SoftmaxWithLoss; SPLIT Split; TANH TanH; THRESHOLD Threshold; WINDOW_DATA
WindowData
"""
V1_TYPES: dict[str, str] = {"NONE": "", **dict(re.findall(r"(\w+)\s+(\w+)", _V1))}

NET = """
NetParameter: name 1 string; layers 2 V1LayerParameter*; input 3 string*; input_dim 4 int32*;
  force_backward 5 bool = false; state 6 NetState; debug_info 7 bool = false; input_shape 8 BlobShape*;
  layer 100 LayerParameter*
BlobShape: dim 1 int64*p
BlobProto: num 1 int32 = 0; channels 2 int32 = 0; height 3 int32 = 0; width 4 int32 = 0; data 5 float*p;
  diff 6 float*p; shape 7 BlobShape; double_data 8 double*p; double_diff 9 double*p; raw_data_type 10 RawType;
  raw_data 12 bytes
NetState: phase 1 Phase = TEST; level 2 int32 = 0; stage 3 string*
NetStateRule: phase 1 Phase; min_level 2 int32; max_level 3 int32; stage 4 string*; not_stage 5 string*
ParamSpec: name 1 string; share_mode 2 DimCheckMode; lr_mult 3 float = 1; decay_mult 4 float = 1
FillerParameter: type 1 string = constant; value 2 float = 0; min 3 float = 0; max 4 float = 1; mean 5 float = 0;
  std 6 float = 1; sparse 7 int32 = -1; variance_norm 8 VarianceNorm = FAN_IN
LayerParameter: name 1 string; type 2 string; bottom 3 string*; top 4 string*; loss_weight 5 float*;
  param 6 ParamSpec*; blobs 7 BlobProto*; include 8 NetStateRule*; exclude 9 NetStateRule*; phase 10 Phase;
  propagate_down 11 bool*;
  transform_param 100 TransformationParameter; loss_param 101 LossParameter; accuracy_param 102 AccuracyParameter;
  argmax_param 103 ArgMaxParameter; concat_param 104 ConcatParameter;
  contrastive_loss_param 105 ContrastiveLossParameter; convolution_param 106 ConvolutionParameter;
  data_param 107 DataParameter; dropout_param 108 DropoutParameter; dummy_data_param 109 DummyDataParameter;
  eltwise_param 110 EltwiseParameter; exp_param 111 ExpParameter; hdf5_data_param 112 HDF5DataParameter;
  hdf5_output_param 113 HDF5OutputParameter; hinge_loss_param 114 HingeLossParameter;
  image_data_param 115 ImageDataParameter; infogain_loss_param 116 InfogainLossParameter;
  inner_product_param 117 InnerProductParameter; lrn_param 118 LRNParameter;
  memory_data_param 119 MemoryDataParameter; mvn_param 120 MVNParameter; pooling_param 121 PoolingParameter;
  power_param 122 PowerParameter; relu_param 123 ReLUParameter; sigmoid_param 124 SigmoidParameter;
  softmax_param 125 SoftmaxParameter; slice_param 126 SliceParameter; tanh_param 127 TanHParameter;
  threshold_param 128 ThresholdParameter; window_data_param 129 WindowDataParameter; python_param 130 PythonParameter;
  prelu_param 131 PReLUParameter; spp_param 132 SPPParameter; reshape_param 133 ReshapeParameter;
  log_param 134 LogParameter; flatten_param 135 FlattenParameter; reduction_param 136 ReductionParameter;
  embed_param 137 EmbedParameter; tile_param 138 TileParameter; batch_norm_param 139 BatchNormParameter;
  elu_param 140 ELUParameter; bias_param 141 BiasParameter; scale_param 142 ScaleParameter;
  input_param 143 InputParameter; crop_param 144 CropParameter; parameter_param 145 ParameterParameter;
  recurrent_param 146 RecurrentParameter; swish_param 147 SwishParameter; clip_param 148 ClipParameter;
  annotated_data_param 200 AnnotatedDataParameter; multibox_loss_param 201 MultiBoxLossParameter;
  permute_param 202 PermuteParameter; prior_box_param 203 PriorBoxParameter;
  detection_output_param 204 DetectionOutputParameter; detection_evaluate_param 205 DetectionEvaluateParameter;
  norm_param 206 NormalizeParameter; video_data_param 207 VideoDataParameter;
  shuffle_channel_param 164 ShuffleChannelParameter; interp_param - InterpParameter; bn_param - BNParameter;
  upsample_param - UpsampleParameter; relu6_param - ReLUParameter
V1LayerParameter: layer 1 V0LayerParameter; bottom 2 string*; top 3 string*; name 4 string; type 5 V1LayerType;
  blobs 6 BlobProto*; blobs_lr 7 float*; weight_decay 8 float*; concat_param 9 ConcatParameter;
  convolution_param 10 ConvolutionParameter; data_param 11 DataParameter; dropout_param 12 DropoutParameter;
  hdf5_data_param 13 HDF5DataParameter; hdf5_output_param 14 HDF5OutputParameter;
  image_data_param 15 ImageDataParameter; infogain_loss_param 16 InfogainLossParameter;
  inner_product_param 17 InnerProductParameter; lrn_param 18 LRNParameter; pooling_param 19 PoolingParameter;
  window_data_param 20 WindowDataParameter; power_param 21 PowerParameter; memory_data_param 22 MemoryDataParameter;
  argmax_param 23 ArgMaxParameter; eltwise_param 24 EltwiseParameter; threshold_param 25 ThresholdParameter;
  dummy_data_param 26 DummyDataParameter; accuracy_param 27 AccuracyParameter; hinge_loss_param 29 HingeLossParameter;
  relu_param 30 ReLUParameter; slice_param 31 SliceParameter; include 32 NetStateRule*; exclude 33 NetStateRule*;
  mvn_param 34 MVNParameter; loss_weight 35 float*; transform_param 36 TransformationParameter;
  tanh_param 37 TanHParameter; sigmoid_param 38 SigmoidParameter; softmax_param 39 SoftmaxParameter;
  contrastive_loss_param 40 ContrastiveLossParameter; exp_param 41 ExpParameter; loss_param 42 LossParameter;
  param 1001 string*; blob_share_mode 1002 DimCheckMode*
V0LayerParameter: name 1 string; type 2 string
"""

LAYERS = """
AccuracyParameter: top_k 1 uint32 = 1; axis 2 int32 = 1; ignore_label 3 int32
ArgMaxParameter: out_max_val 1 bool = false; top_k 2 uint32 = 1; axis 3 int32
BatchNormParameter: use_global_stats 1 bool; moving_average_fraction 2 float = 0.999; eps 3 float = 1e-5;
  scale_filler 5 FillerParameter; bias_filler 6 FillerParameter; engine 15 Engine = DEFAULT
BNParameter: scale_filler - FillerParameter; shift_filler - FillerParameter; slope_filler 1 FillerParameter;
  bias_filler 2 FillerParameter; momentum 3 float = 0.9; eps 4 float = 1e-5; frozen 5 bool = false;
  engine 6 Engine = DEFAULT; bn_mode - BnMode = LEARN
BiasParameter: axis 1 int32 = 1; num_axes 2 int32 = 1; filler 3 FillerParameter
ClipParameter: min 1 float; max 2 float
ConcatParameter: concat_dim 1 uint32 = 1; axis 2 int32 = 1
ContrastiveLossParameter: margin 1 float = 1; legacy_version 2 bool = false
ConvolutionParameter: num_output 1 uint32; bias_term 2 bool = true; pad 3 uint32*; kernel_size 4 uint32*;
  group 5 uint32 = 1; stride 6 uint32*; weight_filler 7 FillerParameter; bias_filler 8 FillerParameter;
  pad_h 9 uint32 = 0; pad_w 10 uint32 = 0; kernel_h 11 uint32; kernel_w 12 uint32; stride_h 13 uint32;
  stride_w 14 uint32; engine 15 Engine = DEFAULT; axis 16 int32 = 1; force_nd_im2col 17 bool = false;
  dilation 18 uint32*
CropParameter: axis 1 int32 = 2; offset 2 uint32*
DropoutParameter: dropout_ratio 1 float = 0.5
EltwiseParameter: operation 1 EltwiseOp = SUM; coeff 2 float*; stable_prod_grad 3 bool = true
ELUParameter: alpha 1 float = 1
EmbedParameter: num_output 1 uint32; input_dim 2 uint32; bias_term 3 bool = true; weight_filler 4 FillerParameter;
  bias_filler 5 FillerParameter
ExpParameter: base 1 float = -1; scale 2 float = 1; shift 3 float = 0
FlattenParameter: axis 1 int32 = 1; end_axis 2 int32 = -1
InnerProductParameter: num_output 1 uint32; bias_term 2 bool = true; weight_filler 3 FillerParameter;
  bias_filler 4 FillerParameter; axis 5 int32 = 1; transpose 6 bool = false
InputParameter: shape 1 BlobShape*
InterpParameter: height 1 int32 = 0; width 2 int32 = 0; zoom_factor 3 int32 = 1; shrink_factor 4 int32 = 1;
  pad_beg 5 int32 = 0; pad_end 6 int32 = 0
LogParameter: base 1 float = -1; scale 2 float = 1; shift 3 float = 0
LRNParameter: local_size 1 uint32 = 5; alpha 2 float = 1; beta 3 float = 0.75;
  norm_region 4 NormRegion = ACROSS_CHANNELS; k 5 float = 1; engine 6 Engine = DEFAULT
MVNParameter: normalize_variance 1 bool = true; across_channels 2 bool = false; eps 3 float = 1e-9
NormalizeParameter: across_spatial 1 bool = true; scale_filler 2 FillerParameter; channel_shared 3 bool = true;
  eps 4 float = 1e-10
ParameterParameter: shape 1 BlobShape
PermuteParameter: order 1 uint32*
PoolingParameter: pool 1 PoolMethod = MAX; kernel_size 2 uint32; stride 3 uint32 = 1; pad 4 uint32 = 0;
  kernel_h 5 uint32; kernel_w 6 uint32; stride_h 7 uint32; stride_w 8 uint32; pad_h 9 uint32 = 0;
  pad_w 10 uint32 = 0; engine 11 Engine = DEFAULT; global_pooling 12 bool = false; round_mode 13 RoundMode = CEIL;
  ceil_mode - bool = true
PowerParameter: power 1 float = 1; scale 2 float = 1; shift 3 float = 0
PReLUParameter: filler 1 FillerParameter; channel_shared 2 bool = false
PriorBoxParameter: min_size 1 float*; max_size 2 float*; aspect_ratio 3 float*; flip 4 bool = true;
  clip 5 bool = false; variance 6 float*; img_size 7 uint32; img_h 8 uint32; img_w 9 uint32; step 10 float;
  step_h 11 float; step_w 12 float; offset 13 float = 0.5; fixed_size - float*; fixed_ratio - float*;
  density - float*; density_size - float*
PythonParameter: module 1 string; layer 2 string; param_str 3 string; share_in_parallel 4 bool = false
RecurrentParameter: num_output 1 uint32 = 0; weight_filler 2 FillerParameter; bias_filler 3 FillerParameter;
  debug_info 4 bool = false; expose_hidden 5 bool = false
ReductionParameter: operation 1 ReductionOp = SUM; axis 2 int32 = 0; coeff 3 float = 1
ReLUParameter: negative_slope 1 float = 0; engine 2 Engine = DEFAULT
ReshapeParameter: shape 1 BlobShape; axis 2 int32 = 0; num_axes 3 int32 = -1
ScaleParameter: axis 1 int32 = 1; num_axes 2 int32 = 1; filler 3 FillerParameter; bias_term 4 bool = false;
  bias_filler 5 FillerParameter
ShuffleChannelParameter: group 1 uint32 = 1
SigmoidParameter: engine 1 Engine = DEFAULT
SliceParameter: slice_dim 1 uint32 = 1; slice_point 2 uint32*; axis 3 int32 = 1
SoftmaxParameter: engine 1 Engine = DEFAULT; axis 2 int32 = 1
SPPParameter: pyramid_height 1 uint32; pool 2 PoolMethod = MAX; engine 6 Engine = DEFAULT
SwishParameter: beta 1 float = 1
TanHParameter: engine 1 Engine = DEFAULT
ThresholdParameter: threshold 1 float = 0
TileParameter: axis 1 int32 = 1; tiles 2 int32
UpsampleParameter: scale 1 uint32 = 2; scale_h 2 uint32; scale_w 3 uint32; pad_out_h 4 bool = false;
  pad_out_w 5 bool = false; upsample_h 6 uint32; upsample_w 7 uint32
"""

DETECTION_AND_DATA = """
NonMaximumSuppressionParameter: nms_threshold 1 float = 0.3; top_k 2 int32; eta 3 float = 1
SaveOutputParameter: output_directory 1 string; output_name_prefix 2 string; output_format 3 string;
  label_map_file 4 string; name_size_file 5 string; num_test_image 6 uint32; resize_param 7 ResizeParameter
DetectionOutputParameter: num_classes 1 uint32; share_location 2 bool = true; background_label_id 3 int32 = 0;
  nms_param 4 NonMaximumSuppressionParameter; save_output_param 5 SaveOutputParameter; code_type 6 CodeType = CORNER;
  keep_top_k 7 int32 = -1; variance_encoded_in_target 8 bool = false; confidence_threshold 9 float;
  visualize 10 bool = false; visualize_threshold 11 float; save_file 12 string;
  clip - bool; clip_bbox - bool
DetectionEvaluateParameter: num_classes 1 uint32; background_label_id 2 uint32 = 0; overlap_threshold 3 float = 0.5;
  evaluate_difficult_gt 4 bool = true; name_size_file 5 string; resize_param 6 ResizeParameter
MultiBoxLossParameter: loc_loss_type 1 LocLossType = SMOOTH_L1; conf_loss_type 2 ConfLossType = SOFTMAX;
  loc_weight 3 float = 1; num_classes 4 uint32; share_location 5 bool = true; match_type 6 MatchType = PER_PREDICTION;
  overlap_threshold 7 float = 0.5; use_prior_for_matching 8 bool = true; background_label_id 9 uint32 = 0;
  use_difficult_gt 10 bool = true; do_neg_mining 11 bool; neg_pos_ratio 12 float = 3; neg_overlap 13 float = 0.5;
  code_type 14 CodeType = CORNER; encode_variance_in_target 16 bool = false; map_object_to_agnostic 17 bool = false;
  ignore_cross_boundary_bbox 18 bool = false; bp_inside 19 bool = false; mining_type 20 MiningType = MAX_NEGATIVE;
  nms_param 21 NonMaximumSuppressionParameter; sample_size 22 int32 = 64; use_prior_for_nms 23 bool = false
Sampler: min_scale 1 float = 1; max_scale 2 float = 1; min_aspect_ratio 3 float = 1; max_aspect_ratio 4 float = 1
SampleConstraint: min_jaccard_overlap 1 float; max_jaccard_overlap 2 float; min_sample_coverage 3 float;
  max_sample_coverage 4 float; min_object_coverage 5 float; max_object_coverage 6 float
BatchSampler: use_original_image 1 bool = true; sampler 2 Sampler; sample_constraint 3 SampleConstraint;
  max_sample 4 uint32; max_trials 5 uint32 = 100
AnnotatedDataParameter: batch_sampler 1 BatchSampler*; label_map_file 2 string; anno_type 3 AnnotationType
EmitConstraint: emit_type 1 EmitType = CENTER; emit_overlap 2 float
ResizeParameter: prob 1 float = 1; resize_mode 2 ResizeMode = WARP; height 3 uint32 = 0; width 4 uint32 = 0;
  pad_mode 5 PadMode = CONSTANT; pad_value 6 float*; interp_mode 7 InterpMode*; height_scale 8 uint32 = 0;
  width_scale 9 uint32 = 0
SaltPepperParameter: fraction 1 float = 0; value 2 float*
NoiseParameter: prob 1 float = 0; hist_eq 2 bool = false; inverse 3 bool = false; decolorize 4 bool = false;
  gauss_blur 5 bool = false; jpeg 6 float = -1; posterize 7 bool = false; erode 8 bool = false;
  saltpepper 9 bool = false; saltpepper_param 10 SaltPepperParameter; clahe 11 bool = false;
  convert_to_hsv 12 bool = false; convert_to_lab 13 bool = false
DistortionParameter: brightness_prob 1 float = 0; brightness_delta 2 float = 0; contrast_prob 3 float = 0;
  contrast_lower 4 float = 0; contrast_upper 5 float = 0; hue_prob 6 float = 0; hue_delta 7 float = 0;
  saturation_prob 8 float = 0; saturation_lower 9 float = 0; saturation_upper 10 float = 0;
  random_order_prob 11 float = 0
ExpansionParameter: prob 1 float = 1; max_expand_ratio 2 float = 1
TransformationParameter: scale 1 float = 1; mirror 2 bool = false; crop_size 3 uint32 = 0; mean_file 4 string;
  mean_value 5 float*; force_color 6 bool = false; force_gray 7 bool = false; resize_param 8 ResizeParameter*last;
  noise_param 9 NoiseParameter; emit_constraint 10 EmitConstraint; crop_h 11 uint32 = 0; crop_w 12 uint32 = 0;
  distort_param 13 DistortionParameter; expand_param 14 ExpansionParameter
LossParameter: ignore_label 1 int32; normalize 2 bool; normalization 3 NormalizationMode = VALID
HingeLossParameter: norm 1 HingeNorm = L1
InfogainLossParameter: source 1 string; axis 2 int32 = 1
DataParameter: source 1 string; scale 2 float = 1; mean_file 3 string; batch_size 4 uint32; crop_size 5 uint32 = 0;
  mirror 6 bool = false; rand_skip 7 uint32 = 0; backend 8 DB = LEVELDB; force_encoded_color 9 bool = false;
  prefetch 10 uint32 = 4
DummyDataParameter: data_filler 1 FillerParameter*; num 2 uint32*; channels 3 uint32*; height 4 uint32*;
  width 5 uint32*; shape 6 BlobShape*
HDF5DataParameter: source 1 string; batch_size 2 uint32; shuffle 3 bool = false
HDF5OutputParameter: file_name 1 string
ImageDataParameter: source 1 string; scale 2 float = 1; mean_file 3 string; batch_size 4 uint32 = 1;
  crop_size 5 uint32 = 0; mirror 6 bool = false; rand_skip 7 uint32 = 0; shuffle 8 bool = false;
  new_height 9 uint32 = 0; new_width 10 uint32 = 0; is_color 11 bool = true; root_folder 12 string
MemoryDataParameter: batch_size 1 uint32; channels 2 uint32; height 3 uint32; width 4 uint32
VideoDataParameter: device_id 2 int32 = 0; video_file 3 string; skip_frames 4 uint32 = 0
WindowDataParameter: source 1 string; scale 2 float = 1; mean_file 3 string; batch_size 4 uint32;
  crop_size 5 uint32 = 0; mirror 6 bool = false; fg_threshold 7 float = 0.5; bg_threshold 8 float = 0.5;
  fg_fraction 9 float = 0.25; context_pad 10 uint32 = 0; crop_mode 11 string = warp; cache_images 12 bool = false;
  root_folder 13 string
"""
