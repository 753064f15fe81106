//! Reads a view back from JSON.
//!
//! serde's derive can read a struct from an object and from an array. serde_json's own deserializers take both, which doubles the code of
//! every struct of the view; this one takes objects only.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Error, Value};

/// Reads JSON that an agent wrote.
///
/// # Errors
///
/// It is no JSON, or not of that type.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    Json::read(&serde_json::from_slice(bytes)?)
}

/// A value of parsed JSON.
#[derive(Clone, Copy)]
pub(crate) struct Json<'de>(&'de Value);

impl<'de> Json<'de> {
    /// The value as that type.
    pub(crate) fn read<T: Deserialize<'de>>(value: &'de Value) -> Result<T, Error> {
        T::deserialize(Self(value))
    }
}

impl<'de> IntoDeserializer<'de, Error> for Json<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Json<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_bool(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_u64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_u64(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_u64(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_i64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_str(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let elements = self.0.as_array().ok_or_else(|| Error::custom("expected an array"))?;
        visitor.visit_seq(SeqDeserializer::new(elements.iter().map(Json)))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let members = self.0.as_object().ok_or_else(|| Error::custom("expected an object"))?;
        visitor.visit_map(MapDeserializer::new(members.iter().map(|(name, value)| (name.as_str(), Json(value)))))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct identifier }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::view::{PullView, StepView};

    #[test]
    fn a_struct_is_an_object_and_never_an_array() {
        let pull =
            json!({"layers_done": 1, "layers_total": 3, "bytes_pulled": 7, "bytes_total": 9, "added_later": [1]});
        assert_eq!(Json::read::<PullView>(&pull).unwrap().layers_total, 3);
        for wrong in [json!([1, 3, 7, 9]), json!(null), json!("pull"), json!({"layers_done": 1})] {
            assert!(Json::read::<PullView>(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_of_another_kind_or_out_of_range_is_an_error() {
        let step = |name: &str, value: Value| {
            let mut step = serde_json::to_value(StepView::default()).unwrap();
            step[name] = value;
            Json::read::<StepView>(&step)
        };
        assert_eq!(step("attempts", json!(7)).unwrap().attempts, 7);
        assert_eq!(step("took_seconds", json!(2)).unwrap().took_seconds, Some(2.0));
        assert_eq!(
            step("error_class", json!("denied")).unwrap().error_class.map(|class| class.is_transient()),
            Some(false)
        );
        for (name, wrong) in [
            ("attempts", json!(-1)),
            ("attempts", json!(1_u64 << 32)),
            ("attempts", json!("7")),
            ("took_seconds", json!({})),
            ("waits", json!({"0": 1})),
            ("error", json!(1)),
            ("error_class", json!("forbidden")),
            ("name", json!(null)),
        ] {
            assert!(step(name, wrong.clone()).is_err(), "{name} {wrong}");
        }
    }
}
