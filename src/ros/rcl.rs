//! A narrow, safe wrapper over `rcl`, for what the bridged topics need and r2r does not give: types
//! loaded at run time, serialized messages with their publisher's GID, the graph with QoS and type
//! hashes.
//!
//! This is the only file of the project with unsafe code, and it has no logic beyond that. It is
//! one file so that everything that has to be trusted can be read in one place.
//!
//! Threads: a [`Node`] and a [`GuardCondition`] may be shared. A [`Subscription`], a [`Publisher`], a
//! [`ServiceServer`], a [`ServiceClient`] and the wait sets stay on the thread that made them.

#![expect(unsafe_code, reason = "calls into rcl's C interface")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use libloading::Library;
use r2r_rcl::*;

use super::qos::EndpointQos;
use crate::config::{
    Durability, History, Liveliness, Parameters, QosProfile, Reliability, Timing, TypeName, Value,
};
use crate::link::PublisherId;

/// What rcl can refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RclError {
    /// A call failed.
    #[error("{call}: {text} (rcl error {code})")]
    Call {
        /// The function.
        call: &'static str,
        /// Its `rcl_ret_t`.
        code: i32,
        /// rcl's own words.
        text: String,
    },
    /// A text that C cannot hold.
    #[error("{0:?} holds a zero byte")]
    ZeroByte(String),
    /// No library gives this type.
    #[error("type {type_name} is not installed here: {text}")]
    TypeNotInstalled {
        /// The type.
        type_name: TypeName,
        /// The loader's own words.
        text: String,
    },
}

// Part of rcl's public interface, but not of r2r_rcl's bindings.
unsafe extern "C" {
    fn rcl_expand_topic_name(
        input_topic_name: *const c_char,
        node_name: *const c_char,
        node_namespace: *const c_char,
        substitutions: *const rcutils_string_map_t,
        allocator: rcl_allocator_t,
        output_topic_name: *mut *mut c_char,
    ) -> rcl_ret_t;

    fn rcl_remap_topic_name(
        local_arguments: *const rcl_arguments_t,
        global_arguments: *const rcl_arguments_t,
        topic_name: *const c_char,
        node_name: *const c_char,
        node_namespace: *const c_char,
        allocator: rcl_allocator_t,
        output_name: *mut *mut c_char,
    ) -> rcl_ret_t;

    fn rcl_remap_service_name(
        local_arguments: *const rcl_arguments_t,
        global_arguments: *const rcl_arguments_t,
        service_name: *const c_char,
        node_name: *const c_char,
        node_namespace: *const c_char,
        allocator: rcl_allocator_t,
        output_name: *mut *mut c_char,
    ) -> rcl_ret_t;
}

type Remap = unsafe extern "C" fn(
    *const rcl_arguments_t,
    *const rcl_arguments_t,
    *const c_char,
    *const c_char,
    *const c_char,
    rcl_allocator_t,
    *mut *mut c_char,
) -> rcl_ret_t;

/// Lets no other program discover the nodes of this one, nor these discover others. It does nothing
/// once there is a second thread, which might be reading the environment.
pub fn discover_nobody() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads == 1 {
        // SAFETY: no other thread reads or writes the environment meanwhile, for there is none.
        unsafe { env::set_var("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF") };
    }
}

/// Turns a return code into a result, with the text that rcl keeps per thread.
fn check(call: &'static str, code: rcl_ret_t) -> Result<(), RclError> {
    if code == RCL_RET_OK as rcl_ret_t {
        return Ok(());
    }
    // SAFETY: both calls touch only this thread's error state; the text ends with a zero byte.
    let text = unsafe {
        let error = rcutils_get_error_string();
        rcutils_reset_error();
        owned_text(error.str_.as_ptr())
    };
    Err(RclError::Call { call, code, text })
}

fn c_text(text: &str) -> Result<CString, RclError> {
    CString::new(text).map_err(|_| RclError::ZeroByte(text.to_owned()))
}

/// Copies a C string; null is the empty text.
///
/// # Safety
/// `text` is null or points to a string that ends with a zero byte.
unsafe fn owned_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by this function's contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Copies and frees a string that rcl allocated with the default allocator.
///
/// # Safety
/// As [`owned_text`], and nobody else frees the string.
unsafe fn taken_text(text: *mut c_char) -> String {
    // SAFETY: by this function's contract.
    unsafe {
        let owned = owned_text(text);
        let allocator = rcutils_get_default_allocator();
        if let Some(deallocate) = allocator.deallocate {
            deallocate(text.cast(), allocator.state);
        }
        owned
    }
}

/// An rcl struct at an address that never changes, since rcl keeps pointers to some of them.
struct Pinned<T>(NonNull<T>);

impl<T> Pinned<T> {
    fn new(value: T) -> Self {
        Self(NonNull::from(Box::leak(Box::new(value))))
    }

    fn ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer comes from `Box::leak` and is given back once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// An initialized rcl context: the process's ROS arguments and a connection to the middleware.
pub struct Context(Pinned<rcl_context_t>);

impl Context {
    /// Parses the arguments, the program's name first, and connects.
    ///
    /// # Errors
    /// rcl's text, for wrong ROS arguments and unreadable parameter files among others.
    pub fn new(arguments: &[String]) -> Result<Self, RclError> {
        let arguments =
            arguments.iter().map(|text| c_text(text)).collect::<Result<Vec<_>, RclError>>()?;
        let pointers: Vec<_> = arguments.iter().map(|text| text.as_ptr()).collect();
        // SAFETY: the options and the context are zero-initialized as rcl asks for, the pointers
        // are valid C strings during the call; rcl copies what it keeps.
        unsafe {
            let mut options = rcl_get_zero_initialized_init_options();
            let allocator = rcutils_get_default_allocator();
            check("rcl_init_options_init", rcl_init_options_init(&mut options, allocator))?;
            let context = Self(Pinned::new(rcl_get_zero_initialized_context()));
            let count = pointers.len() as c_int;
            let code = rcl_init(count, pointers.as_ptr(), &options, context.0.ptr());
            let result = check("rcl_init", code);
            check("rcl_init_options_fini", rcl_init_options_fini(&mut options))?;
            result.map(|()| context)
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is initialized or still zero, rcl accepts both; all that was made
        // from it holds it through an `Arc<Node>` and is gone.
        unsafe {
            let _ = check("rcl_shutdown", rcl_shutdown(self.0.ptr()));
            let _ = check("rcl_context_fini", rcl_context_fini(self.0.ptr()));
        }
    }
}

/// A node without rosout, parameters or services, hidden from `ros2 node list`. It resolves names
/// as another node of this process would: the one that users see and remap.
pub struct Node {
    handle: Pinned<rcl_node_t>,
    context: Context,
    /// Held while entities are made and unmade: rcl keeps a table of types per node without a lock.
    entities: Mutex<()>,
    resolve_as: (CString, CString),
    full_name: String,
}

// SAFETY: rcl allows concurrent graph queries and name resolution, which only read the node and the
// context's arguments; making and unmaking entities is serialized by `entities`.
unsafe impl Send for Node {}
// SAFETY: as above.
unsafe impl Sync for Node {}

/// A publisher or subscription somewhere in the ROS graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its GID.
    pub id: PublisherId,
    /// Its message type as ROS writes it.
    pub type_name: String,
    /// `RIHS01_…`; empty where the middleware does not tell.
    pub type_hash: String,
    /// Fully qualified name of its node, for people.
    pub node: String,
    /// What it offers or requests.
    pub qos: EndpointQos,
}

impl Node {
    /// Makes a node beside `visible_name` in `namespace`.
    ///
    /// # Errors
    /// rcl's text.
    pub fn new(
        context: Context,
        visible_name: &str,
        namespace: &str,
    ) -> Result<Arc<Self>, RclError> {
        // A leading underscore hides a node from the tools, as it does for rclpy's own.
        let name = format!("_{visible_name}_bridge");
        let full_name = full_name(namespace, &name);
        let name = c_text(&name)?;
        let resolve_as = (c_text(visible_name)?, c_text(namespace)?);
        // SAFETY: the node is zero-initialized as rcl asks for; its context and the node itself
        // stay at their addresses for as long as the node lives.
        unsafe {
            let mut options = rcl_node_get_default_options();
            let (allocator, none) = (rcutils_get_default_allocator(), &mut options.arguments);
            // Without the process's arguments, rcl asks for others, be they none.
            check("rcl_parse_arguments", rcl_parse_arguments(0, ptr::null(), allocator, none))?;
            options.use_global_arguments = false;
            options.enable_rosout = false;
            let handle = Pinned::new(rcl_get_zero_initialized_node());
            let (node, context_ptr) = (handle.ptr(), context.0.ptr());
            let namespace = resolve_as.1.as_ptr();
            let code = rcl_node_init(node, name.as_ptr(), namespace, context_ptr, &options);
            let result = check("rcl_node_init", code);
            check("rcl_node_options_fini", rcl_node_options_fini(&mut options))?;
            result?;
            Ok(Arc::new(Self {
                handle,
                context,
                entities: Mutex::default(),
                resolve_as,
                full_name,
            }))
        }
    }

    /// Does the endpoint belong to this node?
    pub fn owns(&self, endpoint: &Endpoint) -> bool {
        endpoint.node == self.full_name
    }

    /// The absolute name of a topic after namespace and remaps.
    ///
    /// # Errors
    /// rcl's text, where the name is none.
    pub fn resolve_topic(&self, name: &str) -> Result<String, RclError> {
        self.resolve(name, "rcl_remap_topic_name", rcl_remap_topic_name)
    }

    fn resolve(&self, name: &str, call: &'static str, remap: Remap) -> Result<String, RclError> {
        let name = c_text(name)?;
        let (node, namespace) = (self.resolve_as.0.as_ptr(), self.resolve_as.1.as_ptr());
        // SAFETY: all texts are valid C strings; the map is initialized and freed here; the
        // outputs start as null and are owned by us afterwards.
        unsafe {
            let allocator = rcutils_get_default_allocator();
            let mut substitutions = rcutils_get_zero_initialized_string_map();
            let code = rcutils_string_map_init(&mut substitutions, 0, allocator);
            check("rcutils_string_map_init", code)?;
            let mut expanded = ptr::null_mut();
            let code = rcl_expand_topic_name(
                name.as_ptr(),
                node,
                namespace,
                &substitutions,
                allocator,
                &mut expanded,
            );
            let result = check("rcl_expand_topic_name", code);
            let code = rcutils_string_map_fini(&mut substitutions);
            check("rcutils_string_map_fini", code)?;
            result?;
            let expanded = taken_text(expanded);
            let expanded_text = c_text(&expanded)?;
            let mut remapped = ptr::null_mut();
            let code = remap(
                ptr::null(),
                &(*self.context.0.ptr()).global_arguments,
                expanded_text.as_ptr(),
                node,
                namespace,
                allocator,
                &mut remapped,
            );
            check(call, code)?;
            Ok(if remapped.is_null() { expanded } else { taken_text(remapped) })
        }
    }

    /// All publishers of a topic, given by its absolute name.
    ///
    /// # Errors
    /// rcl's text.
    pub fn publishers(&self, topic: &str) -> Result<Vec<Endpoint>, RclError> {
        self.endpoints("rcl_get_publishers_info_by_topic", rcl_get_publishers_info_by_topic, topic)
    }

    /// All subscriptions of a topic, given by its absolute name.
    ///
    /// # Errors
    /// rcl's text.
    pub fn subscriptions(&self, topic: &str) -> Result<Vec<Endpoint>, RclError> {
        let call = "rcl_get_subscriptions_info_by_topic";
        self.endpoints(call, rcl_get_subscriptions_info_by_topic, topic)
    }

    fn endpoints(
        &self,
        call: &'static str,
        query: EndpointQuery,
        topic: &str,
    ) -> Result<Vec<Endpoint>, RclError> {
        let topic = c_text(topic)?;
        // SAFETY: the array is zero-initialized, filled by rcl, read within its size and freed
        // with the allocator it was made with.
        unsafe {
            let mut allocator = rcutils_get_default_allocator();
            let mut array = rmw_get_zero_initialized_topic_endpoint_info_array();
            let node = self.handle.ptr();
            check(call, query(node, &mut allocator, topic.as_ptr(), false, &mut array))?;
            let endpoints = if array.info_array.is_null() {
                Vec::new()
            } else {
                let infos = std::slice::from_raw_parts(array.info_array, array.size);
                infos.iter().map(|info| Endpoint::read(info)).collect()
            };
            let code = rmw_topic_endpoint_info_array_fini(&mut array, &mut allocator);
            check("rmw_topic_endpoint_info_array_fini", code)?;
            Ok(endpoints)
        }
    }

    fn lock_entities(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data of ours.
        self.entities.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: every entity holds the node through an `Arc`, so all of them are gone; the
        // context is dropped after this.
        let _ = check("rcl_node_fini", unsafe { rcl_node_fini(self.handle.ptr()) });
    }
}

type EndpointQuery = unsafe extern "C" fn(
    *const rcl_node_t,
    *mut rcutils_allocator_t,
    *const c_char,
    bool,
    *mut rcl_topic_endpoint_info_array_t,
) -> rcl_ret_t;

impl Endpoint {
    /// # Safety
    /// `info` was filled by rcl.
    unsafe fn read(info: &rmw_topic_endpoint_info_t) -> Self {
        // SAFETY: rcl's texts are null or end with a zero byte.
        let (type_name, namespace, name) = unsafe {
            let namespace = owned_text(info.node_namespace);
            (owned_text(info.topic_type), namespace, owned_text(info.node_name))
        };
        Self {
            id: PublisherId(u128::from_be_bytes(info.endpoint_gid)),
            type_name,
            type_hash: hash_text(&info.topic_type_hash),
            node: if name == UNNAMED {
                "a node not named yet".to_owned()
            } else {
                full_name(&namespace, &name)
            },
            qos: read_qos(&info.qos_profile),
        }
    }
}

/// What rmw says of a node while the graph knows its endpoints and not yet its name.
const UNNAMED: &str = "_NODE_NAME_UNKNOWN_";

fn full_name(namespace: &str, name: &str) -> String {
    format!("{}/{name}", namespace.trim_end_matches('/'))
}

/// `RIHS01_…` (REP-2016); empty where unset.
fn hash_text(hash: &rosidl_type_hash_t) -> String {
    if hash.version == 0 {
        return String::new();
    }
    let mut text = format!("RIHS{:02}_", hash.version);
    for byte in hash.value {
        for digit in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

/// What is not told counts as the weaker policy, which matches everything.
fn read_qos(qos: &rmw_qos_profile_t) -> EndpointQos {
    use rmw_qos_durability_policy_e::RMW_QOS_POLICY_DURABILITY_TRANSIENT_LOCAL;
    use rmw_qos_reliability_policy_e::RMW_QOS_POLICY_RELIABILITY_RELIABLE;
    let reliable = qos.reliability == RMW_QOS_POLICY_RELIABILITY_RELIABLE;
    let transient_local = qos.durability == RMW_QOS_POLICY_DURABILITY_TRANSIENT_LOCAL;
    EndpointQos {
        reliability: if reliable { Reliability::Reliable } else { Reliability::BestEffort },
        durability: if transient_local { Durability::TransientLocal } else { Durability::Volatile },
        timing: read_timing(qos),
    }
}

fn write_qos(qos: QosProfile) -> rmw_qos_profile_t {
    use rmw_qos_durability_policy_e as durability;
    use rmw_qos_history_policy_e as history;
    use rmw_qos_liveliness_policy_e as liveliness;
    use rmw_qos_reliability_policy_e as reliability;
    rmw_qos_profile_t {
        history: match qos.history {
            History::KeepLast => history::RMW_QOS_POLICY_HISTORY_KEEP_LAST,
            History::KeepAll => history::RMW_QOS_POLICY_HISTORY_KEEP_ALL,
        },
        depth: qos.depth as usize,
        reliability: match qos.reliability {
            Reliability::BestEffort => reliability::RMW_QOS_POLICY_RELIABILITY_BEST_EFFORT,
            Reliability::Reliable => reliability::RMW_QOS_POLICY_RELIABILITY_RELIABLE,
        },
        durability: match qos.durability {
            Durability::Volatile => durability::RMW_QOS_POLICY_DURABILITY_VOLATILE,
            Durability::TransientLocal => durability::RMW_QOS_POLICY_DURABILITY_TRANSIENT_LOCAL,
        },
        deadline: write_time(qos.timing.deadline),
        lifespan: write_time(qos.timing.lifespan),
        liveliness: match qos.timing.liveliness {
            Liveliness::Automatic => liveliness::RMW_QOS_POLICY_LIVELINESS_AUTOMATIC,
            Liveliness::ManualByTopic => liveliness::RMW_QOS_POLICY_LIVELINESS_MANUAL_BY_TOPIC,
        },
        liveliness_lease_duration: write_time(qos.timing.lease),
        avoid_ros_namespace_conventions: false,
    }
}

/// How one message type is read and written, from a library that was loaded at run time.
#[derive(Debug, Clone)]
pub struct TypeSupport {
    handle: NonNull<rosidl_message_type_support_t>,
    name: TypeName,
    hash: String,
}

impl TypeSupport {
    /// Loads the type from the prefixes of `AMENT_PREFIX_PATH`, else from where the loader looks.
    /// The library stays loaded: rmw keeps pointers into it.
    ///
    /// # Errors
    /// [`RclError::TypeNotInstalled`].
    pub fn load(name: &TypeName) -> Result<Self, RclError> {
        let symbol =
            format!("rosidl_typesupport_c__get_message_type_support_handle__{}", c_name(name));
        // SAFETY: the symbol of this name has this signature and returns a pointer to static data,
        // which stays valid because the library is never unloaded.
        unsafe {
            let get_handle: GetTypeSupport = function(name, "rosidl_typesupport_c", &symbol)?;
            let handle = NonNull::new(get_handle().cast_mut())
                .ok_or_else(|| not_installed(name, "its type support is null"))?;
            let get_hash = handle.as_ref().get_type_hash_func;
            let hash = get_hash.and_then(|get| get(handle.as_ptr()).as_ref());
            let hash = hash.map(hash_text).unwrap_or_default();
            Ok(Self { handle, name: name.clone(), hash })
        }
    }

    /// The type.
    pub fn name(&self) -> &TypeName {
        &self.name
    }

    /// Hash of the definition installed here, `RIHS01_…`.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

fn not_installed(name: &TypeName, text: impl ToString) -> RclError {
    RclError::TypeNotInstalled { type_name: name.clone(), text: text.to_string() }
}

/// A function of a library that rosidl generates for a type's package. The library stays loaded: rmw
/// keeps pointers into it.
///
/// # Safety
/// A function of this name has the signature `F`.
unsafe fn function<F: Copy>(name: &TypeName, suffix: &str, symbol: &str) -> Result<F, RclError> {
    // SAFETY: the library's initializers have no preconditions; the rest by this function's contract.
    unsafe {
        let library = Library::new(library(name, suffix));
        let library = ManuallyDrop::new(library.map_err(|error| not_installed(name, error))?);
        let found = library.get::<F>(symbol).map_err(|error| not_installed(name, error))?;
        Ok(*found)
    }
}

/// Where the library of a type's package is: in the first prefix that has it, else where the loader
/// looks.
fn library(name: &TypeName, suffix: &str) -> PathBuf {
    let file = libloading::library_filename(format!("{}__{suffix}", name.package()));
    let prefixes = env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    env::split_paths(&prefixes)
        .map(|prefix| prefix.join("lib").join(&file))
        .find(|path| path.is_file())
        .unwrap_or_else(|| file.into())
}

/// The type as part of a C symbol.
fn c_name(name: &TypeName) -> String {
    format!("{}__{}__{}", name.package(), name.folder(), name.name())
}

type GetTypeSupport = unsafe extern "C" fn() -> *const rosidl_message_type_support_t;

/// A serialized message: a buffer that rcl fills.
struct Buffer(rcutils_uint8_array_t);

// SAFETY: the buffer owns its memory and the default allocator may be used from any thread.
unsafe impl Send for Buffer {}

impl Buffer {
    fn new() -> Self {
        // SAFETY: makes an empty array without memory; the allocator is what rcl grows it with.
        unsafe {
            let mut array = rcutils_get_zero_initialized_uint8_array();
            array.allocator = rcutils_get_default_allocator();
            Self(array)
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        if self.0.buffer.is_null() {
            return &[];
        }
        // SAFETY: rcl filled `buffer_length` bytes, and nothing writes while this borrow lasts.
        unsafe { std::slice::from_raw_parts(self.0.buffer, self.0.buffer_length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the array is initialized and freed once.
        unsafe { rcutils_uint8_array_fini(&mut self.0) };
    }
}

/// Messages up to this size, bytes, are copied out of a buffer that is used again; a larger one
/// leaves with its buffer, which costs an allocation but no copy and no memory kept.
const LARGEST_COPIED: usize = 64 * 1024;

/// A serialized message as it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// CDR with its encapsulation header.
    pub data: Bytes,
    /// Who published it.
    pub publisher: PublisherId,
    /// Its number at that publisher, counting up; `None` where the middleware has none.
    pub sequence: Option<u64>,
}

/// A subscription that takes serialized messages.
pub struct Subscription {
    handle: Pinned<rcl_subscription_t>,
    node: Arc<Node>,
    buffer: Buffer,
    /// What the middleware's callback refers to, while there is one.
    notice: Option<Pinned<Notice>>,
    events: EventStatuses,
}

impl Subscription {
    /// Subscribes to an absolute name. Messages of our own publishers come too: rmw can leave them
    /// out, but rmw_fastrtps then loses those of others in between.
    ///
    /// # Errors
    /// rcl's text.
    pub fn new(
        node: &Arc<Node>,
        type_support: &TypeSupport,
        topic: &str,
        qos: QosProfile,
    ) -> Result<Self, RclError> {
        let topic = c_text(topic)?;
        let guard = node.lock_entities();
        // SAFETY: the subscription is zero-initialized as rcl asks for; node and type support
        // outlive it, the node through the `Arc` and the type support for ever.
        unsafe {
            let mut options = rcl_subscription_get_default_options();
            options.qos = write_qos(qos);
            let handle = Pinned::new(rcl_get_zero_initialized_subscription());
            let type_support = type_support.handle.as_ptr();
            let (node_ptr, topic) = (node.handle.ptr(), topic.as_ptr());
            let code = rcl_subscription_init(handle.ptr(), node_ptr, type_support, topic, &options);
            drop(guard);
            check("rcl_subscription_init", code)?;
            let events = EventStatuses::of_subscription(&handle);
            let (node, buffer) = (node.clone(), Buffer::new());
            Ok(Self { handle, node, buffer, notice: None, events })
        }
    }

    /// Takes the oldest message that waits, if one does.
    ///
    /// # Errors
    /// rcl's text.
    pub fn take(&mut self) -> Result<Option<Sample>, RclError> {
        let mut info = rmw_message_info_t::default();
        // SAFETY: subscription, buffer and info are initialized; no allocation is preset.
        let code = unsafe {
            let buffer = &mut self.buffer.0;
            rcl_take_serialized_message(self.handle.ptr(), buffer, &mut info, ptr::null_mut())
        };
        if code == RCL_RET_SUBSCRIPTION_TAKE_FAILED as rcl_ret_t {
            return Ok(None);
        }
        check("rcl_take_serialized_message", code)?;
        let data = if self.buffer.0.buffer_length > LARGEST_COPIED {
            Bytes::from_owner(std::mem::replace(&mut self.buffer, Buffer::new()))
        } else {
            Bytes::copy_from_slice(self.buffer.as_ref())
        };
        let sequence = info.publication_sequence_number;
        Ok(Some(Sample {
            data,
            publisher: PublisherId(u128::from_be_bytes(info.publisher_gid.data)),
            // rmw writes the largest number where it has none.
            sequence: (sequence != u64::MAX).then_some(sequence),
        }))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.unsubscribe_notice();
        let _guard = self.node.lock_entities();
        self.events.end();
        let (subscription, node) = (self.handle.ptr(), self.node.handle.ptr());
        // SAFETY: initialized on this node and finished once; no wait set refers to it, since a
        // wait borrows the subscriptions only for its own time.
        let code = unsafe { rcl_subscription_fini(subscription, node) };
        let _ = check("rcl_subscription_fini", code);
    }
}

/// A publisher of serialized messages.
pub struct Publisher {
    handle: Pinned<rcl_publisher_t>,
    node: Arc<Node>,
    id: PublisherId,
    events: EventStatuses,
}

impl Publisher {
    /// Advertises an absolute name.
    ///
    /// # Errors
    /// rcl's text.
    pub fn new(
        node: &Arc<Node>,
        type_support: &TypeSupport,
        topic: &str,
        qos: QosProfile,
    ) -> Result<Self, RclError> {
        let topic = c_text(topic)?;
        let guard = node.lock_entities();
        // SAFETY: as for a subscription; a publisher that is initialized has an rmw handle.
        unsafe {
            let mut options = rcl_publisher_get_default_options();
            options.qos = write_qos(qos);
            let handle = Pinned::new(rcl_get_zero_initialized_publisher());
            let type_support = type_support.handle.as_ptr();
            let (node_ptr, topic) = (node.handle.ptr(), topic.as_ptr());
            let code = rcl_publisher_init(handle.ptr(), node_ptr, type_support, topic, &options);
            drop(guard);
            check("rcl_publisher_init", code)?;
            let events = EventStatuses::of_publisher(&handle);
            let (node, id) = (node.clone(), PublisherId(0));
            let mut publisher = Self { handle, node, id, events };
            let mut gid = rmw_gid_t { implementation_identifier: ptr::null(), data: [0; 16] };
            let rmw_handle = rcl_publisher_get_rmw_handle(publisher.handle.ptr());
            check("rmw_get_gid_for_publisher", rmw_get_gid_for_publisher(rmw_handle, &mut gid))?;
            publisher.id = PublisherId(u128::from_be_bytes(gid.data));
            Ok(publisher)
        }
    }

    /// The publisher's GID, as subscribers see it.
    pub fn id(&self) -> PublisherId {
        self.id
    }

    /// Publishes CDR with its encapsulation header.
    ///
    /// # Errors
    /// rcl's text.
    pub fn publish(&self, data: &[u8]) -> Result<(), RclError> {
        // SAFETY: rcl only reads the message, although the struct has no const variant.
        let code = unsafe {
            let message = rcutils_uint8_array_t {
                buffer: data.as_ptr().cast_mut(),
                buffer_length: data.len(),
                buffer_capacity: data.len(),
                allocator: rcutils_get_default_allocator(),
            };
            rcl_publish_serialized_message(self.handle.ptr(), &message, ptr::null_mut())
        };
        check("rcl_publish_serialized_message", code)
    }

    /// Has every reliable subscriber confirmed all that was published? `true` too where the
    /// middleware cannot tell.
    pub fn is_confirmed(&self) -> bool {
        // SAFETY: the publisher is initialized; a timeout of zero only looks.
        let code = unsafe { rcl_publisher_wait_for_all_acked(self.handle.ptr(), 0) };
        let is_late = code == RCL_RET_TIMEOUT as rcl_ret_t;
        // Clears the error state of this thread.
        let _ = check("rcl_publisher_wait_for_all_acked", code);
        !is_late
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _guard = self.node.lock_entities();
        self.events.end();
        let (publisher, node) = (self.handle.ptr(), self.node.handle.ptr());
        // SAFETY: initialized on this node and finished once.
        let _ = check("rcl_publisher_fini", unsafe { rcl_publisher_fini(publisher, node) });
    }
}

/// Wakes a [`WaitSet`] from any thread.
pub struct GuardCondition {
    handle: Pinned<rcl_guard_condition_t>,
    _node: Arc<Node>,
}

// SAFETY: rcl allows to trigger a guard condition from any thread while another waits for it.
unsafe impl Send for GuardCondition {}
// SAFETY: as above.
unsafe impl Sync for GuardCondition {}

impl GuardCondition {
    /// Makes one in the node's context.
    ///
    /// # Errors
    /// rcl's text.
    pub fn new(node: &Arc<Node>) -> Result<Self, RclError> {
        // SAFETY: zero-initialized as rcl asks for; the context outlives it through the node.
        unsafe {
            let handle = Pinned::new(rcl_get_zero_initialized_guard_condition());
            let options = rcl_guard_condition_get_default_options();
            let code = rcl_guard_condition_init(handle.ptr(), node.context.0.ptr(), options);
            check("rcl_guard_condition_init", code)?;
            Ok(Self { handle, _node: node.clone() })
        }
    }

    /// Ends the wait that is going on, or the next one.
    ///
    /// # Errors
    /// rcl's text.
    pub fn trigger(&self) -> Result<(), RclError> {
        // SAFETY: the guard condition is initialized.
        let code = unsafe { rcl_trigger_guard_condition(self.handle.ptr()) };
        check("rcl_trigger_guard_condition", code)
    }
}

impl Drop for GuardCondition {
    fn drop(&mut self) {
        // SAFETY: initialized and finished once; a wait borrows it only for its own time.
        let code = unsafe { rcl_guard_condition_fini(self.handle.ptr()) };
        let _ = check("rcl_guard_condition_fini", code);
    }
}

/// What a wait ended with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ready {
    /// Positions of the subscriptions that have messages.
    pub subscriptions: Vec<usize>,
    /// Did the ROS graph change?
    pub graph: bool,
}

/// Waits for messages and for changes of the graph.
pub struct WaitSet {
    handle: Pinned<rcl_wait_set_t>,
    node: Arc<Node>,
}

/// The guard conditions of a wait: the graph's, then the caller's.
const GUARD_CONDITIONS: usize = 2;

impl WaitSet {
    /// An empty set.
    ///
    /// # Errors
    /// rcl's text.
    pub fn new(node: &Arc<Node>) -> Result<Self, RclError> {
        // SAFETY: zero-initialized as rcl asks for; the context outlives it through the node.
        unsafe {
            let handle = Pinned::new(rcl_get_zero_initialized_wait_set());
            let (context, allocator) = (node.context.0.ptr(), rcutils_get_default_allocator());
            let (set, guards) = (handle.ptr(), GUARD_CONDITIONS);
            let code = rcl_wait_set_init(set, 0, guards, 0, 0, 0, 0, context, allocator);
            check("rcl_wait_set_init", code)?;
            Ok(Self { handle, node: node.clone() })
        }
    }

    /// Waits until one of `subscriptions` has a message, the graph changes, `wake` is triggered or
    /// `timeout` has passed.
    ///
    /// # Errors
    /// rcl's text.
    pub fn wait(
        &mut self,
        subscriptions: &[&Subscription],
        wake: &GuardCondition,
        timeout: Duration,
    ) -> Result<Ready, RclError> {
        let set = self.handle.ptr();
        let timeout = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
        // SAFETY: the set is sized for what is added; everything added is borrowed until the wait
        // has ended, and the pointers that stay behind are cleared before they are used again. The
        // arrays are read within their sizes.
        unsafe {
            if (*set).size_of_subscriptions == subscriptions.len() {
                check("rcl_wait_set_clear", rcl_wait_set_clear(set))?;
            } else {
                let (count, guards) = (subscriptions.len(), GUARD_CONDITIONS);
                let code = rcl_wait_set_resize(set, count, guards, 0, 0, 0, 0);
                check("rcl_wait_set_resize", code)?;
            }
            for subscription in subscriptions {
                let subscription = subscription.handle.ptr();
                let code = rcl_wait_set_add_subscription(set, subscription, ptr::null_mut());
                check("rcl_wait_set_add_subscription", code)?;
            }
            let graph = rcl_node_get_graph_guard_condition(self.node.handle.ptr());
            for guard in [graph, wake.handle.ptr()] {
                let code = rcl_wait_set_add_guard_condition(set, guard, ptr::null_mut());
                check("rcl_wait_set_add_guard_condition", code)?;
            }
            let code = rcl_wait(set, timeout);
            if code == RCL_RET_TIMEOUT as rcl_ret_t {
                return Ok(Ready::default());
            }
            check("rcl_wait", code)?;
            let is_ready = |position: &usize| !(*(*set).subscriptions.add(*position)).is_null();
            Ok(Ready {
                subscriptions: (0..subscriptions.len()).filter(is_ready).collect(),
                graph: !(*(*set).guard_conditions).is_null(),
            })
        }
    }
}

impl Drop for WaitSet {
    fn drop(&mut self) {
        // SAFETY: initialized and finished once.
        let _ = check("rcl_wait_set_fini", unsafe { rcl_wait_set_fini(self.handle.ptr()) });
    }
}

// Services. rcl takes and gives requests and responses as structs, so that CDR becomes one here and
// the other way round; the structs come from the library that rosidl generates for their package.

impl Node {
    /// The absolute name of a service after namespace and remaps.
    ///
    /// # Errors
    /// rcl's text, where the name is none.
    pub fn resolve_service(&self, name: &str) -> Result<String, RclError> {
        self.resolve(name, "rcl_remap_service_name", rcl_remap_service_name)
    }

    /// The services that servers or clients in the graph name, with their types.
    ///
    /// # Errors
    /// rcl's text.
    pub fn service_types(&self) -> Result<BTreeMap<String, Vec<String>>, RclError> {
        // SAFETY: the table is zero-initialized, filled by rcl, read within its sizes and freed with
        // the allocator it was made with.
        unsafe {
            let mut allocator = rcutils_get_default_allocator();
            let mut found = rmw_get_zero_initialized_names_and_types();
            let node = self.handle.ptr();
            let code = rcl_get_service_names_and_types(node, &mut allocator, &mut found);
            check("rcl_get_service_names_and_types", code)?;
            taken_names_and_types(&mut found)
        }
    }

    /// How many servers a service has, our own ones included; its name is absolute.
    ///
    /// # Errors
    /// rcl's text.
    pub fn count_servers(&self, service: &str) -> Result<usize, RclError> {
        let service = c_text(service)?;
        let mut count = 0;
        // SAFETY: the node is initialized, the name ends with a zero byte.
        let code = unsafe { rcl_count_services(self.handle.ptr(), service.as_ptr(), &mut count) };
        check("rcl_count_services", code)?;
        Ok(count)
    }
}

/// How requests and responses of one service type are read and written.
#[derive(Debug, Clone)]
pub struct ServiceTypeSupport {
    handle: NonNull<rosidl_service_type_support_t>,
    request: Form,
    response: Form,
    name: TypeName,
    hash: String,
}

impl ServiceTypeSupport {
    /// Loads the type as [`TypeSupport::load`] does.
    ///
    /// # Errors
    /// [`RclError::TypeNotInstalled`].
    pub fn load(name: &TypeName) -> Result<Self, RclError> {
        let symbol =
            format!("rosidl_typesupport_c__get_service_type_support_handle__{}", c_name(name));
        // SAFETY: as for a message type; a handle that is not null points to static data.
        let (handle, hash) = unsafe {
            let get_handle: GetServiceTypeSupport =
                function(name, "rosidl_typesupport_c", &symbol)?;
            let handle = NonNull::new(get_handle().cast_mut())
                .ok_or_else(|| not_installed(name, "its type support is null"))?;
            let get_hash = handle.as_ref().get_type_hash_func;
            let hash = get_hash.and_then(|get| get(handle.as_ptr()).as_ref());
            (handle, hash.map(hash_text).unwrap_or_default())
        };
        let request = Form::load(&name.part("Request"))?;
        let response = Form::load(&name.part("Response"))?;
        Ok(Self { handle, request, response, name: name.clone(), hash })
    }

    /// The type.
    pub fn name(&self) -> &TypeName {
        &self.name
    }

    /// Hash of the definition installed here, `RIHS01_…`.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

type GetServiceTypeSupport = unsafe extern "C" fn() -> *const rosidl_service_type_support_t;

/// How a message becomes a struct and the other way round.
#[derive(Debug, Clone)]
struct Form {
    type_support: TypeSupport,
    create: unsafe extern "C" fn() -> *mut c_void,
    destroy: unsafe extern "C" fn(*mut c_void),
}

impl Form {
    fn load(name: &TypeName) -> Result<Self, RclError> {
        let type_support = TypeSupport::load(name)?;
        let symbol = |function: &str| format!("{}__{function}", c_name(name));
        // SAFETY: functions of these names have these signatures.
        unsafe {
            let create = function(name, "rosidl_generator_c", &symbol("create"))?;
            let destroy = function(name, "rosidl_generator_c", &symbol("destroy"))?;
            Ok(Self { type_support, create, destroy })
        }
    }

    /// An empty struct.
    fn create(&self) -> Result<Struct<'_>, RclError> {
        // SAFETY: the function has no preconditions; it gives null when there is no memory.
        NonNull::new(unsafe { (self.create)() })
            .map(|message| Struct { form: self, message })
            .ok_or_else(|| RclError::Call {
                call: "create",
                code: RCL_RET_BAD_ALLOC as i32,
                text: format!("no memory for a {}", self.type_support.name()),
            })
    }

    /// Makes a struct of CDR.
    fn read(&self, cdr: &[u8]) -> Result<Struct<'_>, RclError> {
        let message = self.create()?;
        // SAFETY: rmw only reads the bytes, although the struct has no const variant; the message is
        // of the type that the type support describes.
        let code = unsafe {
            let bytes = rcutils_uint8_array_t {
                buffer: cdr.as_ptr().cast_mut(),
                buffer_length: cdr.len(),
                buffer_capacity: cdr.len(),
                allocator: rcutils_get_default_allocator(),
            };
            rmw_deserialize(&bytes, self.type_support.handle.as_ptr(), message.message.as_ptr())
        };
        check("rmw_deserialize", code).map(|()| message)
    }
}

/// A request or a response as a struct.
struct Struct<'a> {
    form: &'a Form,
    message: NonNull<c_void>,
}

impl Struct<'_> {
    /// Makes CDR of it.
    fn write(&self) -> Result<Bytes, RclError> {
        let mut buffer = Buffer::new();
        // SAFETY: the message is of the type that the type support describes, the buffer grows by its
        // own allocator.
        let code = unsafe {
            let type_support = self.form.type_support.handle.as_ptr();
            rmw_serialize(self.message.as_ptr(), type_support, &mut buffer.0)
        };
        check("rmw_serialize", code)?;
        Ok(Bytes::from_owner(buffer))
    }
}

impl Drop for Struct<'_> {
    fn drop(&mut self) {
        // SAFETY: made by the form's own `create`, and destroyed once.
        unsafe { (self.form.destroy)(self.message.as_ptr()) };
    }
}

/// Requests and responses that our servers and clients keep: as many callers may call at once, and
/// what DDS has no room for it drops.
const CALLS_DEPTH: usize = 1000;

fn service_qos(default: rmw_qos_profile_t) -> rmw_qos_profile_t {
    rmw_qos_profile_t { depth: CALLS_DEPTH, ..default }
}

/// Tells one request from all others that a server got.
#[derive(Debug, Clone, Copy)]
pub struct RequestId(rmw_request_id_t);

/// A server of serialized requests and responses.
pub struct ServiceServer {
    handle: Pinned<rcl_service_t>,
    node: Arc<Node>,
    type_support: ServiceTypeSupport,
}

impl ServiceServer {
    /// Serves an absolute name.
    ///
    /// # Errors
    /// rcl's text.
    pub fn new(
        node: &Arc<Node>,
        type_support: &ServiceTypeSupport,
        service: &str,
    ) -> Result<Self, RclError> {
        let service = c_text(service)?;
        let guard = node.lock_entities();
        // SAFETY: as for a subscription.
        unsafe {
            let mut options = rcl_service_get_default_options();
            options.qos = service_qos(options.qos);
            let handle = Pinned::new(rcl_get_zero_initialized_service());
            let (support, service) = (type_support.handle.as_ptr(), service.as_ptr());
            let code =
                rcl_service_init(handle.ptr(), node.handle.ptr(), support, service, &options);
            drop(guard);
            check("rcl_service_init", code)?;
            Ok(Self { handle, node: node.clone(), type_support: type_support.clone() })
        }
    }

    /// The type.
    pub fn type_support(&self) -> &ServiceTypeSupport {
        &self.type_support
    }

    /// Takes the oldest request that waits, if one does: CDR with its encapsulation header.
    ///
    /// # Errors
    /// rcl's text.
    pub fn take(&self) -> Result<Option<(RequestId, Bytes)>, RclError> {
        let request = self.type_support.request.create()?;
        let mut id = rmw_request_id_t { writer_guid: [0; 16], sequence_number: 0 };
        // SAFETY: the service is initialized, the request is a struct of its type.
        let code =
            unsafe { rcl_take_request(self.handle.ptr(), &mut id, request.message.as_ptr()) };
        if code == RCL_RET_SERVICE_TAKE_FAILED as rcl_ret_t {
            return Ok(None);
        }
        check("rcl_take_request", code)?;
        Ok(Some((RequestId(id), request.write()?)))
    }

    /// Answers a request with CDR.
    ///
    /// # Errors
    /// rcl's text, for a response that is not of the type among others.
    pub fn respond(&self, RequestId(mut id): RequestId, cdr: &[u8]) -> Result<(), RclError> {
        let response = self.type_support.response.read(cdr)?;
        // SAFETY: the service is initialized, the response is a struct of its type.
        let code =
            unsafe { rcl_send_response(self.handle.ptr(), &mut id, response.message.as_ptr()) };
        check("rcl_send_response", code)
    }
}

impl Drop for ServiceServer {
    fn drop(&mut self) {
        let _guard = self.node.lock_entities();
        let (service, node) = (self.handle.ptr(), self.node.handle.ptr());
        // SAFETY: as for a subscription.
        let _ = check("rcl_service_fini", unsafe { rcl_service_fini(service, node) });
    }
}

/// A client of serialized requests and responses.
pub struct ServiceClient {
    handle: Pinned<rcl_client_t>,
    node: Arc<Node>,
    type_support: ServiceTypeSupport,
}

impl ServiceClient {
    /// A client for an absolute name.
    ///
    /// # Errors
    /// rcl's text.
    pub fn new(
        node: &Arc<Node>,
        type_support: &ServiceTypeSupport,
        service: &str,
    ) -> Result<Self, RclError> {
        let service = c_text(service)?;
        let guard = node.lock_entities();
        // SAFETY: as for a subscription.
        unsafe {
            let mut options = rcl_client_get_default_options();
            options.qos = service_qos(options.qos);
            let handle = Pinned::new(rcl_get_zero_initialized_client());
            let (support, service) = (type_support.handle.as_ptr(), service.as_ptr());
            let code = rcl_client_init(handle.ptr(), node.handle.ptr(), support, service, &options);
            drop(guard);
            check("rcl_client_init", code)?;
            Ok(Self { handle, node: node.clone(), type_support: type_support.clone() })
        }
    }

    /// The type.
    pub fn type_support(&self) -> &ServiceTypeSupport {
        &self.type_support
    }

    /// Is there a server that would get a request?
    ///
    /// # Errors
    /// rcl's text.
    pub fn is_served(&self) -> Result<bool, RclError> {
        let mut is_served = false;
        let (node, client) = (self.node.handle.ptr(), self.handle.ptr());
        // SAFETY: both are initialized.
        let code = unsafe { rcl_service_server_is_available(node, client, &mut is_served) };
        check("rcl_service_server_is_available", code)?;
        Ok(is_served)
    }

    /// Sends a request in CDR; the response will have the number that is returned.
    ///
    /// # Errors
    /// rcl's text, for a request that is not of the type among others.
    pub fn call(&self, cdr: &[u8]) -> Result<i64, RclError> {
        let request = self.type_support.request.read(cdr)?;
        let mut number = 0;
        // SAFETY: the client is initialized, the request is a struct of its type.
        let code =
            unsafe { rcl_send_request(self.handle.ptr(), request.message.as_ptr(), &mut number) };
        check("rcl_send_request", code).map(|()| number)
    }

    /// Takes the oldest response that waits, if one does: CDR with its encapsulation header.
    ///
    /// # Errors
    /// rcl's text.
    pub fn take(&self) -> Result<Option<(i64, Bytes)>, RclError> {
        let response = self.type_support.response.create()?;
        let mut id = rmw_request_id_t { writer_guid: [0; 16], sequence_number: 0 };
        // SAFETY: the client is initialized, the response is a struct of its type.
        let code =
            unsafe { rcl_take_response(self.handle.ptr(), &mut id, response.message.as_ptr()) };
        if code == RCL_RET_CLIENT_TAKE_FAILED as rcl_ret_t {
            return Ok(None);
        }
        check("rcl_take_response", code)?;
        Ok(Some((id.sequence_number, response.write()?)))
    }
}

impl Drop for ServiceClient {
    fn drop(&mut self) {
        let _guard = self.node.lock_entities();
        let (client, node) = (self.handle.ptr(), self.node.handle.ptr());
        // SAFETY: as for a subscription.
        let _ = check("rcl_client_fini", unsafe { rcl_client_fini(client, node) });
    }
}

/// Which servers have requests and which clients responses, by their positions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadyCalls {
    /// Positions of the servers.
    pub servers: Vec<usize>,
    /// Positions of the clients.
    pub clients: Vec<usize>,
}

/// Waits for requests and responses.
pub struct CallWaitSet {
    handle: Pinned<rcl_wait_set_t>,
    _node: Arc<Node>,
}

impl CallWaitSet {
    /// An empty set.
    ///
    /// # Errors
    /// rcl's text.
    pub fn new(node: &Arc<Node>) -> Result<Self, RclError> {
        // SAFETY: zero-initialized as rcl asks for; the context outlives it through the node.
        unsafe {
            let handle = Pinned::new(rcl_get_zero_initialized_wait_set());
            let (context, allocator) = (node.context.0.ptr(), rcutils_get_default_allocator());
            let code = rcl_wait_set_init(handle.ptr(), 0, 1, 0, 0, 0, 0, context, allocator);
            check("rcl_wait_set_init", code)?;
            Ok(Self { handle, _node: node.clone() })
        }
    }

    /// Waits until one of `servers` has a request, one of `clients` a response, `wake` is triggered or
    /// `timeout` has passed.
    ///
    /// # Errors
    /// rcl's text.
    pub fn wait(
        &mut self,
        servers: &[&ServiceServer],
        clients: &[&ServiceClient],
        wake: &GuardCondition,
        timeout: Duration,
    ) -> Result<ReadyCalls, RclError> {
        let set = self.handle.ptr();
        let timeout = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
        // SAFETY: as for the other wait set.
        unsafe {
            let sizes = ((*set).size_of_services, (*set).size_of_clients);
            if sizes == (servers.len(), clients.len()) {
                check("rcl_wait_set_clear", rcl_wait_set_clear(set))?;
            } else {
                let (servers, clients) = (servers.len(), clients.len());
                let code = rcl_wait_set_resize(set, 0, 1, 0, clients, servers, 0);
                check("rcl_wait_set_resize", code)?;
            }
            for server in servers {
                let code = rcl_wait_set_add_service(set, server.handle.ptr(), ptr::null_mut());
                check("rcl_wait_set_add_service", code)?;
            }
            for client in clients {
                let code = rcl_wait_set_add_client(set, client.handle.ptr(), ptr::null_mut());
                check("rcl_wait_set_add_client", code)?;
            }
            let code = rcl_wait_set_add_guard_condition(set, wake.handle.ptr(), ptr::null_mut());
            check("rcl_wait_set_add_guard_condition", code)?;
            let code = rcl_wait(set, timeout);
            if code == RCL_RET_TIMEOUT as rcl_ret_t {
                return Ok(ReadyCalls::default());
            }
            check("rcl_wait", code)?;
            let has_request = |position: &usize| !(*(*set).services.add(*position)).is_null();
            let has_response = |position: &usize| !(*(*set).clients.add(*position)).is_null();
            Ok(ReadyCalls {
                servers: (0..servers.len()).filter(has_request).collect(),
                clients: (0..clients.len()).filter(has_response).collect(),
            })
        }
    }
}

impl Drop for CallWaitSet {
    fn drop(&mut self) {
        // SAFETY: initialized and finished once.
        let _ = check("rcl_wait_set_fini", unsafe { rcl_wait_set_fini(self.handle.ptr()) });
    }
}

/// Tells which subscriptions have messages, the moment they come. A wait for these is as cheap with a
/// thousand subscriptions as with one, while a [`WaitSet`] of them all looks at each one each time.
pub struct Arrivals {
    /// The numbers of those that have messages.
    numbers: Mutex<BTreeSet<u64>>,
    wake: Arc<GuardCondition>,
}

/// What the middleware's callback needs to know.
struct Notice {
    number: u64,
    arrivals: Arc<Arrivals>,
}

impl Arrivals {
    /// None so far. `wake` is triggered when there are some again.
    pub fn new(wake: Arc<GuardCondition>) -> Arc<Self> {
        Arc::new(Self { numbers: Mutex::default(), wake })
    }

    /// Takes the numbers of the subscriptions that have got messages since the last call.
    pub fn take(&self) -> BTreeSet<u64> {
        std::mem::take(&mut *self.lock())
    }

    fn add(&self, number: u64) {
        let mut numbers = self.lock();
        let was_empty = numbers.is_empty();
        numbers.insert(number);
        drop(numbers);
        if was_empty {
            // Whoever waits looks again after a while, even where this fails.
            let _ = self.wake.trigger();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.numbers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Subscription {
    /// Has messages told to `arrivals`, under this number, those that wait already too.
    ///
    /// # Errors
    /// rcl's text.
    pub fn tell(&mut self, arrivals: &Arc<Arrivals>, number: u64) -> Result<(), RclError> {
        self.unsubscribe_notice();
        let notice = Pinned::new(Notice { number, arrivals: arrivals.clone() });
        // SAFETY: the notice stays at its address until the callback is taken back, which the
        // middleware does not do while it calls it.
        let code = unsafe {
            let (subscription, user_data) = (self.handle.ptr(), notice.ptr().cast_const().cast());
            rcl_subscription_set_on_new_message_callback(subscription, Some(on_message), user_data)
        };
        check("rcl_subscription_set_on_new_message_callback", code)?;
        self.notice = Some(notice);
        Ok(())
    }

    fn unsubscribe_notice(&mut self) {
        if self.notice.is_none() {
            return;
        }
        // SAFETY: the subscription is initialized, and no callback needs no data.
        let code = unsafe {
            let subscription = self.handle.ptr();
            rcl_subscription_set_on_new_message_callback(subscription, None, ptr::null())
        };
        match check("rcl_subscription_set_on_new_message_callback", code) {
            Ok(()) => self.notice = None,
            // It may be called on, so what it refers to stays.
            Err(_) => std::mem::forget(self.notice.take()),
        }
    }
}

/// Called by a thread of the middleware. It does little, and waits for nobody.
unsafe extern "C" fn on_message(user_data: *const c_void, _count: usize) {
    // SAFETY: this is the notice that was given with the callback; it is alive while that is set.
    let notice = unsafe { &*user_data.cast::<Notice>() };
    notice.arrivals.add(notice.number);
}

/// The topics of a ROS graph by absolute name, each with its message types.
pub type TopicTypes = BTreeMap<String, Vec<String>>;

impl Node {
    /// All topics of the graph: those that somebody publishes, and those that somebody subscribes.
    ///
    /// # Errors
    /// rcl's text.
    pub fn topics(&self) -> Result<TopicTypes, RclError> {
        // SAFETY: the arrays are zero-initialized, filled by rcl, read within their sizes and freed.
        unsafe {
            let mut allocator = rcutils_get_default_allocator();
            let mut found = rmw_get_zero_initialized_names_and_types();
            let node = self.handle.ptr();
            let code = rcl_get_topic_names_and_types(node, &mut allocator, false, &mut found);
            check("rcl_get_topic_names_and_types", code)?;
            taken_names_and_types(&mut found)
        }
    }

    /// Full name of the node that users see, `/namespace/name`.
    pub fn visible_name(&self) -> String {
        let (name, namespace) = &self.resolve_as;
        full_name(&namespace.to_string_lossy(), &name.to_string_lossy())
    }
}

/// Copies an array of C; a null pointer is an empty one.
///
/// # Safety
/// `first` is null, or points to `count` values.
unsafe fn copied<T: Copy>(first: *const T, count: usize) -> Vec<T> {
    if first.is_null() {
        return Vec::new();
    }
    // SAFETY: by this function's contract.
    unsafe { std::slice::from_raw_parts(first, count) }.to_vec()
}

/// Copies and frees names of the graph, each with its types.
///
/// # Safety
/// The arrays were filled by rcl.
unsafe fn taken_names_and_types(
    found: &mut rcl_names_and_types_t,
) -> Result<BTreeMap<String, Vec<String>>, RclError> {
    // SAFETY: by this function's contract; rcl's arrays hold as many types as names.
    unsafe {
        let names = texts(&found.names);
        let types = copied(found.types, names.len());
        let taken = names.into_iter().zip(types.iter().map(|types| texts(types))).collect();
        check("rcl_names_and_types_fini", rcl_names_and_types_fini(found))?;
        Ok(taken)
    }
}

/// # Safety
/// The array was filled by rcl.
unsafe fn texts(array: &rcutils_string_array_t) -> Vec<String> {
    // SAFETY: rcl's arrays hold as many texts as they say, each null or with a zero byte at its end.
    unsafe {
        let texts = copied(array.data, array.size);
        texts.into_iter().map(|text| owned_text(text)).collect()
    }
}

/// The parameters that a command line, the program's name first, gives to the node of this full name:
/// those of the files it names, which are read now, and those it sets itself.
///
/// # Errors
/// rcl's text, for an unreadable file among others.
pub fn parameters(arguments: &[String], node: &str) -> Result<Parameters, RclError> {
    let arguments =
        arguments.iter().map(|text| c_text(text)).collect::<Result<Vec<_>, RclError>>()?;
    let pointers: Vec<_> = arguments.iter().map(|text| text.as_ptr()).collect();
    // SAFETY: the pointers are valid C strings during the call, and the output is zero-initialized as
    // rcl asks for; both structs are freed after they have been read, unless there is none.
    unsafe {
        let (count, allocator) = (pointers.len() as c_int, rcutils_get_default_allocator());
        let mut parsed = rcl_get_zero_initialized_arguments();
        let code = rcl_parse_arguments(count, pointers.as_ptr(), allocator, &mut parsed);
        check("rcl_parse_arguments", code)?;
        let mut given = ptr::null_mut();
        let code = rcl_arguments_get_param_overrides(&parsed, &mut given);
        let result = check("rcl_arguments_get_param_overrides", code);
        check("rcl_arguments_fini", rcl_arguments_fini(&mut parsed))?;
        result?;
        if given.is_null() {
            return Ok(Parameters::new());
        }
        let parameters = parameters_of(&*given, node);
        rcl_yaml_node_struct_fini(given);
        Ok(parameters)
    }
}

/// # Safety
/// `given` was filled by rcl.
unsafe fn parameters_of(given: &rcl_params_t, node: &str) -> Parameters {
    let name = node.rsplit('/').next().unwrap_or(node);
    let is_meant = |block: &str| block == "/**" || block == "**" || block == node || block == name;
    let mut parameters = Parameters::new();
    // SAFETY: rcl's arrays are as long as their counts say.
    unsafe {
        let names = copied(given.node_names, given.num_nodes);
        let blocks = copied(given.params, given.num_nodes);
        for (_, block) in names.iter().zip(blocks).filter(|(name, _)| is_meant(&owned_text(**name)))
        {
            let keys = copied(block.parameter_names, block.num_params);
            let values = copied(block.parameter_values, block.num_params);
            for (key, value) in keys.into_iter().zip(values) {
                parameters.insert(owned_text(key), value_of(&value));
            }
        }
    }
    parameters
}

/// # Safety
/// `value` was filled by rcl: at most one of its pointers is not null, and points to what it says.
unsafe fn value_of(value: &rcl_variant_t) -> Value {
    // SAFETY: by this function's contract; the arrays are as long as they say.
    unsafe {
        if let Some(value) = value.bool_value.as_ref() {
            Value::Bool(*value)
        } else if let Some(value) = value.integer_value.as_ref() {
            Value::Integer(*value)
        } else if let Some(value) = value.double_value.as_ref() {
            Value::Double(*value)
        } else if !value.string_value.is_null() {
            Value::String(owned_text(value.string_value))
        } else if let Some(list) = value.byte_array_value.as_ref() {
            Value::Bytes(copied(list.values, list.size))
        } else if let Some(list) = value.bool_array_value.as_ref() {
            Value::BoolList(copied(list.values, list.size))
        } else if let Some(list) = value.integer_array_value.as_ref() {
            Value::IntegerList(copied(list.values, list.size))
        } else if let Some(list) = value.double_array_value.as_ref() {
            Value::DoubleList(copied(list.values, list.size))
        } else if let Some(list) = value.string_array_value.as_ref() {
            Value::StringList(texts(list))
        } else {
            Value::Unset
        }
    }
}

// --- QoS events --------------------------------------------------------------------------------------

/// What the middleware has noticed of a subscription or publisher since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QosEvents {
    /// Times that a deadline passed without a message.
    pub deadlines_missed: u32,
    /// Of a subscription: publishers that are there and not alive. Of a publisher: times that it
    /// failed to say that it is alive.
    pub not_alive: u32,
}

impl Subscription {
    /// What was noticed so far; nothing where the middleware has no such events.
    pub fn events(&mut self) -> QosEvents {
        let [deadlines_missed, ..] = self.events.deadline.take();
        // Publishers that are alive come first.
        let [_, not_alive, ..] = self.events.liveliness.take();
        QosEvents { deadlines_missed, not_alive }
    }
}

impl Publisher {
    /// What was noticed so far; nothing where the middleware has no such events.
    pub fn events(&mut self) -> QosEvents {
        let [deadlines_missed, ..] = self.events.deadline.take();
        let [not_alive, ..] = self.events.liveliness.take();
        QosEvents { deadlines_missed, not_alive }
    }
}

/// The statuses of one subscription or publisher.
struct EventStatuses {
    deadline: EventStatus,
    liveliness: EventStatus,
}

/// One status, as it was last told.
struct EventStatus {
    /// `None` where the middleware does not have it.
    handle: Option<Pinned<rcl_event_t>>,
    last: [u32; STATUS_WORDS],
}

/// Each status that is asked for is a struct of up to four `int32_t`, which count up from zero.
const STATUS_WORDS: usize = 4;

impl EventStatuses {
    /// The subscription is initialized.
    fn of_subscription(of: &Pinned<rcl_subscription_t>) -> Self {
        use rcl_subscription_event_type_e as kind;
        // SAFETY: the event is zero-initialized as rcl asks for; the subscription is initialized.
        let new = |kind| {
            EventStatus::new(|event| unsafe { rcl_subscription_event_init(event, of.ptr(), kind) })
        };
        Self {
            deadline: new(kind::RCL_SUBSCRIPTION_REQUESTED_DEADLINE_MISSED),
            liveliness: new(kind::RCL_SUBSCRIPTION_LIVELINESS_CHANGED),
        }
    }

    /// The publisher is initialized.
    fn of_publisher(of: &Pinned<rcl_publisher_t>) -> Self {
        use rcl_publisher_event_type_e as kind;
        // SAFETY: the event is zero-initialized as rcl asks for; the publisher is initialized.
        let new = |kind| {
            EventStatus::new(|event| unsafe { rcl_publisher_event_init(event, of.ptr(), kind) })
        };
        Self {
            deadline: new(kind::RCL_PUBLISHER_OFFERED_DEADLINE_MISSED),
            liveliness: new(kind::RCL_PUBLISHER_LIVELINESS_LOST),
        }
    }

    /// To be called before the subscription or publisher is finished.
    fn end(&mut self) {
        self.deadline.end();
        self.liveliness.end();
    }
}

impl EventStatus {
    fn new(init: impl FnOnce(*mut rcl_event_t) -> rcl_ret_t) -> Self {
        // SAFETY: makes an empty event, which refers to nothing.
        let handle = Pinned::new(unsafe { rcl_get_zero_initialized_event() });
        let made = check("rcl_event_init", init(handle.ptr()));
        Self { handle: made.is_ok().then_some(handle), last: [0; STATUS_WORDS] }
    }

    fn take(&mut self) -> [u32; STATUS_WORDS] {
        let Some(handle) = &self.handle else { return self.last };
        let mut status = [0_u32; STATUS_WORDS];
        // SAFETY: the event is initialized, since it was kept, and the entity that it belongs to lives;
        // the buffer is as large as the largest status that is asked for.
        let code = unsafe { rcl_take_event(handle.ptr(), status.as_mut_ptr().cast()) };
        if check("rcl_take_event", code).is_ok() {
            self.last = status;
        }
        self.last
    }

    fn end(&mut self) {
        if let Some(handle) = self.handle.take() {
            // SAFETY: initialized, since it was kept, and finished once, for it is gone afterwards.
            let _ = check("rcl_event_fini", unsafe { rcl_event_fini(handle.ptr()) });
        }
    }
}

// --- limits of time ----------------------------------------------------------------------------------

/// What the middleware tells as no limit is this long or longer, s: 68 years.
const ENDLESS: u64 = i32::MAX as u64;

fn read_timing(qos: &rmw_qos_profile_t) -> Timing {
    use rmw_qos_liveliness_policy_e::RMW_QOS_POLICY_LIVELINESS_MANUAL_BY_TOPIC;
    let is_manual = qos.liveliness == RMW_QOS_POLICY_LIVELINESS_MANUAL_BY_TOPIC;
    Timing {
        deadline: read_time(qos.deadline),
        lifespan: read_time(qos.lifespan),
        liveliness: if is_manual { Liveliness::ManualByTopic } else { Liveliness::Automatic },
        lease: read_time(qos.liveliness_lease_duration),
    }
}

fn read_time(time: rmw_time_s) -> Option<Duration> {
    let nanoseconds = u32::try_from(time.nsec).unwrap_or(0);
    let is_limit = time.sec < ENDLESS && (time.sec > 0 || nanoseconds > 0);
    is_limit.then(|| Duration::new(time.sec, nanoseconds))
}

/// Zero stands for the middleware's default, which is no limit.
fn write_time(time: Option<Duration>) -> rmw_time_s {
    let time = time.filter(|time| time.as_secs() < ENDLESS).unwrap_or_default();
    rmw_time_s { sec: time.as_secs(), nsec: u64::from(time.subsec_nanos()) }
}
